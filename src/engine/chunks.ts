/** A stretch of the tokens being prefilled. */
export interface Chunk {
  /** Index of its first token among all that are read, and among those whose keys it sees. */
  readonly first: number;
  readonly row: number;
  readonly n: number;
  /** Whether it belongs to the prompt, or to a probe that is read after it and forgotten. */
  readonly of: "prompt" | "probe";
  /** Whether it is the last of its kind. */
  readonly isLast: boolean;
}

/** Prompts of more tokens are cut into larger chunks. */
const LONG_PROMPT = 4096;

/**
 * Tokens of a chunk where none are asked for. With ggml's operations libllama's 512. Our own prepare each weight
 * once a chunk and need no masks, so larger ones pay: 1,024, and 2,048 where the prompt's keys and values
 * take more memory than the activations of so many tokens.
 */
export function defaultChunkTokens(nPrompt: number, ownKernels: boolean): number {
  if (!ownKernels) return 512;
  return nPrompt > LONG_PROMPT ? 2048 : 1024;
}

/** Splits a prompt of `n` tokens into chunks of `size`; the last one may be shorter. */
export function chunksOf(n: number, size: number): Chunk[] {
  return Array.from({ length: Math.ceil(n / size) }, (_, i) => {
    const first = i * size;
    return {
      ...{ first, row: first, n: Math.min(size, n - first) },
      ...{ of: "prompt", isLast: first + size >= n },
    };
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
