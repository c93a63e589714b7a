import type { Chunk } from "../observe/layer-observer.ts";

/** The most tokens of a chunk that nobody asked for, with our own kernels and with ggml's operations. */
const LARGEST = { own: 2048, ggml: 512 };

/** The most tokens of a chunk where none are asked for. */
export function largestChunkTokens(ownKernels: boolean): number {
  return ownKernels ? LARGEST.own : LARGEST.ggml;
}

/**
 * Tokens of a chunk where none are asked for. With ggml's operations libllama's 512. Our own prepare each weight
 * once a chunk and need no masks, so larger ones pay: as few as have at most 2,048 tokens, all alike.
 */
export function defaultChunkTokens(nPrompt: number, ownKernels: boolean): number {
  if (!ownKernels) return LARGEST.ggml;
  const n = Math.max(1, nPrompt);
  return Math.ceil(n / Math.ceil(n / LARGEST.own));
}

/** Splits a prompt of `n` tokens into chunks of `size`; the last one may be shorter. */
export function chunksOf(n: number, size: number): Chunk[] {
  return Array.from({ length: Math.ceil(n / size) }, (_, i) => {
    const first = i * size;
    const isLast = first + size >= n;
    return { first, row: first, n: Math.min(size, n - first), of: "prompt", isLast };
  });
}

/** A probe's pieces as chunks after a prompt of `nPrompt` tokens: each sees the prompt and itself, none another. */
export function probeChunks(pieces: readonly ArrayLike<number>[], nPrompt: number): Chunk[] {
  let first = nPrompt;
  return pieces.map((piece, i) => {
    const n = piece.length;
    first += n;
    return { first: first - n, row: nPrompt, n, of: "probe", isLast: i === pieces.length - 1 };
  });
}
