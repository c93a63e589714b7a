import type { RopeParameters } from "../../src/ggml/graph.ts";

/** RoPE on neighbouring pairs, or on pairs half of the rotated dimensions apart, with YaRN (arXiv 2309.00071). */
export function rotated(
  head: readonly number[],
  position: number,
  rope: RopeParameters,
  factors?: ArrayLike<number>,
): number[] {
  const out = [...head];
  const half = rope.dims / 2;
  const length = rope.attnFactor * (rope.extFactor === 0 ? 1 : 1 - 0.1 * Math.log(rope.freqScale));
  for (let pair = 0; pair < half; pair++) {
    const [d0, d1] = rope.mode === 0 ? [2 * pair, 2 * pair + 1] : [pair, pair + half];
    const far = (position * rope.freqBase ** ((-2 * pair) / rope.dims)) / (factors?.[pair] ?? 1);
    const near = rope.freqScale * far;
    const mix = rope.extFactor * ramp(pair, rope);
    const angle = near * (1 - mix) + far * mix;
    const [a, b] = [head[d0] as number, head[d1] as number];
    out[d0] = length * (a * Math.cos(angle) - b * Math.sin(angle));
    out[d1] = length * (a * Math.sin(angle) + b * Math.cos(angle));
  }
  return out;
}

/** 1 for pairs that turn often within the original context, 0 for those that hardly turn. */
function ramp(
  pair: number,
  { dims, nCtxOrig, freqBase, betaFast, betaSlow }: RopeParameters,
): number {
  const place = (turns: number) =>
    (dims * Math.log(nCtxOrig / (turns * 2 * Math.PI))) / (2 * Math.log(freqBase));
  const low = Math.max(0, Math.floor(place(betaFast)));
  const high = Math.min(dims - 1, Math.ceil(place(betaSlow)));
  return 1 - Math.min(1, Math.max(0, (pair - low) / Math.max(0.001, high - low)));
}
