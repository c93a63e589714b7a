import type { OutputErrors } from "../compression/evidence.ts";
import { norms, softmax } from "../compression/scores/vectors.ts";
import type { Executor } from "../ggml/executor.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { Model } from "../models/model.ts";
import { NEWEST_SAMPLES, type Samples } from "./samples.ts";

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
  const errors = norms(moved, nEmbd);
  const residual = norms(inputs, nEmbd).sort()[nSamples >> 1] ?? 1;
  return heads.map((_, h) => ({
    errors: errors.subarray(h * nSamples, (h + 1) * nSamples),
    residual,
  }));
}

interface StarvedRows {
  /** [headDim, keys] */
  readonly k: Float32Array;
  /** [headDim, keys] */
  readonly v: Float32Array;
}

/** The keys and values that a starved kv head has for sample `s`; none where that is all that there are. */
function starvedRows(
  { scratch, samples, heads }: ErrorInput,
  kvHead: number,
): (s: number) => StarvedRows | undefined {
  const { firstRow, nPast } = heads[kvHead] as ErrorInput["heads"][number];
  const { headDim } = scratch.shape;
  const last = nPast + (samples.tokens.at(-1) ?? 0);
  if (last < SINKS + NEWEST) return () => undefined;
  // Most samples are the newest tokens, whose stretches overlap: those are read at once.
  const tail = Math.max(SINKS, last - 2 * NEWEST_SAMPLES);
  const read = (of: typeof scratch.k) => {
    const stretch = (from: number, n: number) => scratch.read(of, kvHead, firstRow + from, n);
    const [sinks, newest] = [stretch(0, SINKS), stretch(tail, last + 1 - tail)];
    return (from: number) => {
      const rows = new Float32Array((SINKS + NEWEST) * headDim);
      rows.set(sinks);
      const own =
        from < tail
          ? stretch(from, NEWEST)
          : newest.subarray((from - tail) * headDim, (from - tail + NEWEST) * headDim);
      rows.set(own, SINKS * headDim);
      return rows;
    };
  };
  const [k, v] = [read(scratch.k), read(scratch.v)];
  return (s) => {
    const at = nPast + (samples.tokens[s] as number);
    if (at < SINKS + NEWEST) return undefined;
    return { k: k(at - NEWEST + 1), v: v(at - NEWEST + 1) };
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
  const weights = new Float32Array(few.k.length / headDim);
  for (let h = kvHead * group; h < (kvHead + 1) * group; h++) {
    const at = h * headDim;
    for (let j = 0; j < weights.length; j++) {
      let dot = 0;
      for (let d = 0; d < headDim; d++) {
        dot += (own.query[at + d] as number) * (few.k[j * headDim + d] as number);
      }
      weights[j] = dot * attentionScale;
    }
    softmax(weights);
    for (let d = 0; d < headDim; d++) {
      let sum = 0;
      for (let j = 0; j < weights.length; j++) {
        sum += (weights[j] as number) * (few.v[j * headDim + d] as number);
      }
      row[at + d] = (own.out[at + d] as number) - sum;
    }
  }
}
