/** A stretch of the tokens being prefilled. */
export interface Chunk {
  readonly first: number;
  readonly n: number;
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

/** Splits `n` tokens into chunks of `size`; the last one may be shorter. */
export function chunksOf(n: number, size: number): Chunk[] {
  return Array.from({ length: Math.ceil(n / size) }, (_, i) => {
    const first = i * size;
    return { first, n: Math.min(size, n - first), isLast: first + size >= n };
  });
}
