import type { GgufInput } from "./gguf-writer.ts";

/** `token_type` of GGUF. */
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

export interface VocabularyOptions {
  readonly kind: "bpe" | "spm";
  readonly template?: string;
  /** Control tokens besides those of the beginning and the end. */
  readonly controls?: readonly string[];
  readonly userDefined?: readonly string[];
  /** Undefined leaves the key out. */
  readonly addBos?: boolean | undefined;
  /** More keys, or undefined for those to leave out. */
  readonly more?: Readonly<Record<string, GgufInput | undefined>>;
}

export const CHATML =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/** The keys of a vocabulary in which any text can be written, byte by byte, with control tokens in it. */
export function vocabulary(o: VocabularyOptions): Record<string, GgufInput> {
  const controls = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", ...(o.controls ?? [])];
  const userDefined = o.userDefined ?? [];
  const bytes = o.kind === "bpe" ? byteLetters() : byteNames();
  const words = o.kind === "bpe" ? ["he", "Ġh", "<|"] : ["\u2581", "\u2581a", "he", "<|"];
  const special = [...controls, ...userDefined];
  const tokens = ["<unk>", ...special, ...bytes, ...words];
  const types = [
    TYPE.unknown,
    ...controls.map(() => TYPE.control),
    ...userDefined.map(() => TYPE.userDefined),
    ...bytes.map(() => (o.kind === "bpe" ? TYPE.normal : TYPE.byte)),
    ...words.map(() => TYPE.normal),
  ];
  const text = (value: string): GgufInput => ({ type: "string", value });
  const id = (value: number): GgufInput => ({ type: "u32", value });
  const keys: Record<string, GgufInput | undefined> = {
    "tokenizer.ggml.model": text(o.kind === "bpe" ? "gpt2" : "llama"),
    ...(o.kind === "bpe" ? { "tokenizer.ggml.pre": text("gpt-2") } : {}),
    "tokenizer.ggml.tokens": { type: "strings", value: tokens },
    "tokenizer.ggml.token_type": { type: "i32s", value: types },
    ...(o.kind === "bpe"
      ? { "tokenizer.ggml.merges": { type: "strings", value: ["h e", "Ġ h", "< |"] } }
      : { "tokenizer.ggml.scores": { type: "f32s", value: tokens.map((_, i) => -i) } }),
    "tokenizer.ggml.bos_token_id": id(1),
    "tokenizer.ggml.eos_token_id": id(2),
    "tokenizer.ggml.unknown_token_id": id(0),
    "tokenizer.ggml.add_bos_token":
      o.addBos === undefined ? undefined : { type: "bool", value: o.addBos },
    "tokenizer.chat_template": text(o.template ?? CHATML),
    ...o.more,
  };
  const present = Object.entries(keys).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as Record<string, GgufInput>;
}

function byteNames(): string[] {
  return Array.from({ length: 256 }, (_, i) => {
    return `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`;
  });
}

/** GPT-2's letters for bytes: printable ones stand for themselves, the others come after U+0100. */
function byteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCodePoint(isPrintable ? byte : next++);
  });
}
