import { PyramidKVError, requireOneOf } from "../errors.ts";
import type { InputGraph } from "../ggml/input-graph.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES, type TensorType } from "../ggml/types.ts";
import type { KvShape } from "./token-bytes.ts";

/** The types that cached keys and values may have, and whether rows are held as Hadamard transforms. */
export const KV_TYPES = {
  f16: { type: TYPES.f16, hadamard: false },
  q8_0: { type: TYPES.q8_0, hadamard: false },
  q4_0: { type: TYPES.q4_0, hadamard: true },
  "q4_0-plain": { type: TYPES.q4_0, hadamard: false },
} as const satisfies Record<string, { type: TensorType; hadamard: boolean }>;

export type KvTypeName = keyof typeof KV_TYPES;

/** How a cache holds its rows. */
export interface KvFormat {
  readonly name: KvTypeName;
  readonly type: TensorType;
  /** Values per Hadamard transform that rows are held as, a power of two; 0 holds rows as they are. */
  readonly hadamard: number;
}

/** The named format; throws where it is unknown or a layer's head size is no multiple of its type's block. */
export function kvFormat(name: string, { layers }: KvShape): KvFormat {
  const names = Object.keys(KV_TYPES) as KvTypeName[];
  const kvType = requireOneOf("KV type", name, names);
  const { type, hadamard } = KV_TYPES[kvType];
  const sizes = layers.flatMap(({ headDim, nHeadKv }) => (nHeadKv === 0 ? [] : [headDim]));
  const odd = sizes.find((headDim) => headDim % type.blockSize !== 0);
  if (odd !== undefined) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `KV type ${name} needs heads of a multiple of ${type.blockSize} elements, this model has ${odd}`,
    );
  }
  // The largest power of two that divides every head size.
  const block = Math.min(...sizes.map((headDim) => headDim & -headDim));
  return { name: kvType, type, hadamard: hadamard ? block : 0 };
}

/**
 * Hadamard transforms of `block` values each along `rows` f32 [headDim, …], over √block: what 4 bits would round away
 * beside one outlier, they keep once it is a little of every value (QuaRot, arXiv 2404.00456). Their own inverse.
 */
export function transformed(g: InputGraph, rows: Tensor, headDim: number, block: number): Tensor {
  if (block === 0) return rows;
  const matrix = g.constant(TYPES.f32, [headDim, headDim], hadamardMatrix(headDim, block));
  return g.mulMat(matrix, rows);
}

const matrices = new Map<string, Float32Array>();

/** f32 [headDim, headDim]: the transform's blocks along the diagonal; symmetric. Made once, and not written to. */
export function hadamardMatrix(headDim: number, block: number): Float32Array {
  const key = `${headDim}/${block}`;
  const matrix = matrices.get(key) ?? transform(headDim, block);
  matrices.set(key, matrix);
  return matrix;
}

function transform(headDim: number, block: number): Float32Array {
  const matrix = new Float32Array(headDim * headDim);
  for (let i = 0; i < headDim; i++) {
    const first = i - (i % block);
    for (let j = first; j < first + block; j++) {
      matrix[i * headDim + j] = (isOdd(i & j & (block - 1)) ? -1 : 1) / Math.sqrt(block);
    }
  }
  return matrix;
}

/** Whether a number has an odd count of ones. */
function isOdd(n: number): boolean {
  let odd = false;
  for (let rest = n; rest !== 0; rest &= rest - 1) odd = !odd;
  return odd;
}
