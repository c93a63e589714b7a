/** How many rows a cache gets beyond its tokens: see `capacityFor`. */
export type Padding = "full" | "compressed";

const COMPRESSED_STEP = 32;
/** libllama's step. ggml splits long caches over threads by their rows, padding included. */
const FULL_STEP = 256;
/** Tokens that a compressed cache makes room for at a time: the decode graph is rebuilt that often. */
const GROW_BY = 64;

const roundUp = (n: number, step: number) => Math.ceil(n / step) * step;

/**
 * Rows for `tokens` and one more. A cache that evicted nothing is padded as libllama pads its own, so
 * that decoding equals libllama's to the bit; a compressed one wastes as little as is practical.
 */
export function capacityFor(tokens: number, padding: Padding): number {
  const room = tokens + 1;
  return roundUp(room, padding === "full" && room > FULL_STEP ? FULL_STEP : COMPRESSED_STEP);
}

/** Rows that a cache moves to when it is nearly full. */
export function grownCapacity(tokens: number, padding: Padding): number {
  const grown = capacityFor(tokens + GROW_BY - 1, "compressed");
  if (padding === "compressed") return grown;
  return tokens < FULL_STEP ? Math.min(grown, FULL_STEP) : capacityFor(tokens, padding);
}
