import type { OutputErrors } from "../compression/evidence.ts";
import type { Executor } from "../ggml/executor.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { Model } from "../models/model.ts";
import type { Samples } from "./samples.ts";

/** What a starved head sees: the first tokens and the newest. */
const SINKS = 4;
const NEWEST = 20;

export interface ErrorInput {
  readonly model: Model;
  readonly executor: Executor;
  readonly scratch: PrefillScratch;
  readonly samples: Samples;
  readonly il: number;
  /** First row of each kv head's tokens in the scratch, and how many it held before the prompt. */
  readonly heads: readonly { readonly firstRow: number; readonly nPast: number }[];
}

/**
 * For each kv head of a layer: how far the layer's result moves where that head sees the sinks and the newest
 * tokens only, for the sampled queries. Its query heads' differences are projected by W_o and summed as vectors.
 */
export async function outputErrors(input: ErrorInput): Promise<OutputErrors[]> {
  const { model, executor, samples, il, heads } = input;
  const { nEmbd, nHead, nHeadKv, headDim } = model.hp;
  const nSamples = samples.tokens.length;
  const width = headDim * nHead;
  const { queries, outputs, inputs } = samples.read();
  // One column a sample and kv head: 0 but for that kv head's query heads.
  const differences = new Float32Array(width * nSamples * nHeadKv);
  heads.forEach((_, kvHead) => {
    const keys = starvedRows(input, kvHead);
    for (let s = 0; s < nSamples; s++) {
      const row = differences.subarray((kvHead * nSamples + s) * width).subarray(0, width);
      const own = { query: queries.subarray(s * width), out: outputs.subarray(s * width) };
      differOfGroup(row, own, kvHead, keys(s), model.hp);
    }
  });
  const moved = await executor.run((g) => {
    const columns = g.constant(TYPES.f32, [width, nSamples * nHeadKv], differences);
    const result = g.output(model.graph.projectAttention(g, il, columns));
    return () => readTensor(result, new Float32Array(nEmbd * nSamples * nHeadKv));
  });
  const lengthOf = (rows: Float32Array, i: number) =>
    Math.hypot(...rows.subarray(i * nEmbd, (i + 1) * nEmbd));
  const residuals = Float32Array.from(samples.tokens, (_, s) => lengthOf(inputs, s)).sort();
  const residual = residuals[residuals.length >> 1] ?? 1;
  return heads.map((_, h) => ({
    errors: Float32Array.from(samples.tokens, (_, s) => lengthOf(moved, h * nSamples + s)),
    residual,
  }));
}

interface StarvedRows {
  readonly k: readonly Float32Array[];
  readonly v: readonly Float32Array[];
}

/** The keys and values that a starved kv head has for sample `s`; none where that is all that there are. */
function starvedRows(
  { scratch, samples, heads }: ErrorInput,
  kvHead: number,
): (s: number) => StarvedRows | undefined {
  const { firstRow, nPast } = heads[kvHead] as ErrorInput["heads"][number];
  const stretch = (of: typeof scratch.k, from: number, n: number) =>
    scratch.read(of, kvHead, firstRow + from, n);
  const sinks = Math.min(SINKS, nPast + (samples.tokens.at(-1) ?? 0) + 1);
  const first = { k: stretch(scratch.k, 0, sinks), v: stretch(scratch.v, 0, sinks) };
  return (s) => {
    const at = nPast + (samples.tokens[s] as number);
    if (at < SINKS + NEWEST) return undefined;
    const from = at - NEWEST + 1;
    return {
      k: [first.k, stretch(scratch.k, from, NEWEST)],
      v: [first.v, stretch(scratch.v, from, NEWEST)],
    };
  };
}

/** out − attention over few keys, for the query heads of one kv head, into `row`. */
function differOfGroup(
  row: Float32Array,
  own: { readonly query: Float32Array; readonly out: Float32Array },
  kvHead: number,
  few: StarvedRows | undefined,
  shape: { nHead: number; nHeadKv: number; headDim: number; attentionScale: number },
): void {
  if (few === undefined) return;
  const { headDim, attentionScale } = shape;
  const group = shape.nHead / shape.nHeadKv;
  for (let h = kvHead * group; h < (kvHead + 1) * group; h++) {
    const at = h * headDim;
    const logits = few.k.flatMap((keys) => dots(own.query, at, keys, headDim));
    const most = Math.max(...logits) * attentionScale;
    const weights = logits.map((x) => Math.exp(x * attentionScale - most));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let d = 0; d < headDim; d++) row[at + d] = own.out[at + d] as number;
    let j = 0;
    for (const values of few.v) {
      for (let r = 0; r < values.length / headDim; r++) {
        const w = (weights[j++] as number) / sum;
        for (let d = 0; d < headDim; d++) {
          row[at + d] = (row[at + d] as number) - w * (values[r * headDim + d] as number);
        }
      }
    }
  }
}

function dots(query: Float32Array, at: number, keys: Float32Array, dim: number): number[] {
  return Array.from({ length: keys.length / dim }, (_, r) => {
    let dot = 0;
    for (let d = 0; d < dim; d++) dot += (query[at + d] as number) * (keys[r * dim + d] as number);
    return dot;
  });
}
