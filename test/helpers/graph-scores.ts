import type { ReferenceInput, ReferenceRule } from "./reference-scores.ts";
import { attentionScores } from "../../src/ggml/operations/attention-scores.ts";
import type { Device } from "../../src/ggml/device.ts";
import { readTensor } from "../../src/ggml/tensor-buffer.ts";
import { TYPES } from "../../src/ggml/types.ts";

/** Scores by the product's own graph, as in prefill: [nHead][nTokens]. */
export function graphScores(
  device: Device,
  input: Omit<ReferenceInput, "v">,
  rule: ReferenceRule,
): Promise<Float32Array> {
  const { k, nTokens, nHead, nHeadKv, headDim } = input;
  const n = rule.nQueries;
  const nQueries = input.q.length / nHead / headDim;
  const q = new Float32Array(nHead * n * headDim);
  for (let h = 0; h < nHead; h++) {
    const from = (h * nQueries + nQueries - n) * headDim;
    q.set(input.q.subarray(from, from + n * headDim), h * n * headDim);
  }
  return device.run((g) => {
    const scores = attentionScores(g, {
      k: g.constant(TYPES.f32, [headDim, nTokens, nHeadKv], k),
      q: g.constant(TYPES.f32, [headDim, n, nHead], q),
      ones: () => g.constant(TYPES.f32, [1, n, nHead], new Float32Array(n * nHead).fill(1)),
      nPast: nTokens - n,
      scale: 1 / Math.sqrt(headDim),
      ...rule,
    });
    const flat = g.output(g.contiguous(scores));
    return () => readTensor(flat, new Float32Array(nTokens * nHead));
  });
}
