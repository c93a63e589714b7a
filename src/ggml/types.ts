/** A ggml data type: `blockSize` elements take `blockBytes` bytes. */
export interface TensorType {
  readonly id: number;
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  /** Whether a weight matrix may have this type. */
  readonly weight: boolean;
}

const row = (
  id: number,
  name: string,
  blockSize: number,
  blockBytes: number,
  weight = true,
): TensorType => ({ id, name, blockSize, blockBytes, weight });

/** The types of ggml 0.25 (`ggml.h`, `ggml_type`), by name. Sizes are checked against the library by a test. */
export const TYPES = {
  f32: row(0, "f32", 1, 4),
  f16: row(1, "f16", 1, 2),
  q4_0: row(2, "q4_0", 32, 18),
  q4_1: row(3, "q4_1", 32, 20),
  q5_0: row(6, "q5_0", 32, 22),
  q5_1: row(7, "q5_1", 32, 24),
  q8_0: row(8, "q8_0", 32, 34),
  q2_K: row(10, "q2_K", 256, 84),
  q3_K: row(11, "q3_K", 256, 110),
  q4_K: row(12, "q4_K", 256, 144),
  q5_K: row(13, "q5_K", 256, 176),
  q6_K: row(14, "q6_K", 256, 210),
  iq2_xxs: row(16, "iq2_xxs", 256, 66),
  iq2_xs: row(17, "iq2_xs", 256, 74),
  iq3_xxs: row(18, "iq3_xxs", 256, 98),
  iq1_s: row(19, "iq1_s", 256, 50),
  iq4_nl: row(20, "iq4_nl", 32, 18),
  iq3_s: row(21, "iq3_s", 256, 110),
  iq2_s: row(22, "iq2_s", 256, 82),
  iq4_xs: row(23, "iq4_xs", 256, 136),
  i32: row(26, "i32", 1, 4, false),
  i64: row(27, "i64", 1, 8, false),
  iq1_m: row(29, "iq1_m", 256, 56),
  bf16: row(30, "bf16", 1, 2),
  tq1_0: row(34, "tq1_0", 256, 54),
  tq2_0: row(35, "tq2_0", 256, 66),
  mxfp4: row(39, "mxfp4", 32, 17),
  nvfp4: row(40, "nvfp4", 64, 36),
  q1_0: row(41, "q1_0", 128, 18),
  q2_0: row(42, "q2_0", 64, 18),
} as const satisfies Record<string, TensorType>;

const BY_ID = new Map<number, TensorType>(Object.values(TYPES).map((t) => [t.id, t]));

/** The type with this number in a file or tensor, if it is known. */
export function typeById(id: number): TensorType | undefined {
  return BY_ID.get(id);
}

/** Bytes of a row of `n` elements; `n` must be a multiple of the block size. */
export function rowBytes(type: TensorType, n: number): number {
  return (n / type.blockSize) * type.blockBytes;
}
