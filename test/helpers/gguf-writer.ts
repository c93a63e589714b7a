/** Writes GGUF files byte by byte, sound ones and, for tests of bad input, unsound ones. */
export type GgufInput =
  | { type: "u16" | "u32" | "i32" | "f32" | "u64"; value: number }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | { type: "strings"; value: readonly (string | Uint8Array)[] }
  | { type: "f32s" | "i32s"; value: readonly number[] };

export interface TensorInput {
  name: string;
  /** ggml order. */
  shape: readonly number[];
  /** Number of the ggml type. */
  type: number;
  data: Uint8Array;
}

const TYPE_IDS = { u16: 2, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, u64: 10 } as const;
const ARRAY = 9;
const ALIGNMENT = 32;

export function buildGguf(
  metadata: Readonly<Record<string, GgufInput>>,
  tensors: readonly TensorInput[],
): Uint8Array {
  const out = new ByteWriter();
  out.text("GGUF");
  out.u32(3);
  out.u64(tensors.length);
  out.u64(Object.keys(metadata).length);
  for (const [key, input] of Object.entries(metadata)) {
    out.string(key);
    writeValue(out, input);
  }
  let offset = 0;
  for (const { name, shape, type, data } of tensors) {
    out.string(name);
    out.u32(shape.length);
    for (const n of shape) out.u64(n);
    out.u32(type);
    out.u64(offset);
    offset += Math.ceil(data.length / ALIGNMENT) * ALIGNMENT;
  }
  for (const { data } of tensors) {
    out.align(ALIGNMENT);
    out.bytes(data);
  }
  out.align(ALIGNMENT);
  return out.finish();
}

function writeValue(out: ByteWriter, input: GgufInput): void {
  switch (input.type) {
    case "strings":
      out.u32(ARRAY);
      out.u32(TYPE_IDS.string);
      out.u64(input.value.length);
      for (const text of input.value) out.string(text);
      return;
    case "f32s":
    case "i32s": {
      const [id, write] = input.type === "f32s" ? ([6, "f32"] as const) : ([5, "i32"] as const);
      out.u32(ARRAY);
      out.u32(id);
      out.u64(input.value.length);
      for (const n of input.value) out[write](n);
      return;
    }
    case "string":
      out.u32(TYPE_IDS.string);
      out.string(input.value);
      return;
    case "bool":
      out.u32(TYPE_IDS.bool);
      out.bytes(Uint8Array.of(input.value ? 1 : 0));
      return;
    case "u16":
    case "u32":
    case "i32":
    case "f32":
    case "u64":
      out.u32(TYPE_IDS[input.type]);
      out[input.type](input.value);
  }
}

class ByteWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  bytes(part: Uint8Array): void {
    this.#parts.push(part);
    this.#length += part.length;
  }
  text(text: string): void {
    this.bytes(Buffer.from(text));
  }
  string(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    this.u64(bytes.length);
    this.bytes(bytes);
  }
  u16(n: number): void {
    this.#number(2, (v) => v.setUint16(0, n, true));
  }
  u32(n: number): void {
    this.#number(4, (v) => v.setUint32(0, n, true));
  }
  i32(n: number): void {
    this.#number(4, (v) => v.setInt32(0, n, true));
  }
  f32(n: number): void {
    this.#number(4, (v) => v.setFloat32(0, n, true));
  }
  u64(n: number): void {
    this.#number(8, (v) => v.setBigUint64(0, BigInt(n), true));
  }
  align(to: number): void {
    this.bytes(new Uint8Array((to - (this.#length % to)) % to));
  }
  finish(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
  #number(size: number, set: (view: DataView) => void): void {
    const view = new DataView(new ArrayBuffer(size));
    set(view);
    this.bytes(new Uint8Array(view.buffer));
  }
}
