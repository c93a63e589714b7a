import type { OutputErrors } from "../../compression/evidence.ts";
import { norms, softmax } from "../../compression/scores/vectors.ts";
import { readTensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import type { ReadLayer } from "./layer-observer.ts";
import { NEWEST_SAMPLES, type Samples } from "./samples.ts";

/** What a starved head sees: the first tokens and the newest. */
const SINKS = 4;
const NEWEST = 20;

export interface ErrorInput {
  readonly model: Model;
  readonly samples: Samples;
  readonly layer: ReadLayer;
}

/**
 * For each kv head of a layer: how far the layer's result moves where that head sees the sinks and the newest
 * tokens only, for the sampled queries. Its query heads' differences are projected by W_o and summed as vectors.
 */
export async function outputErrors(input: ErrorInput): Promise<OutputErrors[]> {
  const { model, samples, layer } = input;
  const { nEmbd } = model.hp;
  const { nHead, nHeadKv, headDim } = layer.shape;
  const sinkLogits = readSinkLogits(layer.shape);
  const nSamples = samples.tokens.length;
  const width = headDim * nHead;
  const { queries, outputs, inputs, factors } = samples.read();
  // One column a sample and kv head: 0 but for that kv head's query heads.
  const differences = new Float32Array(width * nSamples * nHeadKv);
  for (let kvHead = 0; kvHead < nHeadKv; kvHead++) {
    const keys = starvedRows(input, kvHead);
    for (let s = 0; s < nSamples; s++) {
      const row = differences.subarray((kvHead * nSamples + s) * width).subarray(0, width);
      const sample = { query: queries.subarray(s * width), out: outputs.subarray(s * width) };
      differOfGroup(row, sample, kvHead, keys(s), { ...layer.shape, sinkLogits });
      if (factors === undefined) continue;
      row.forEach((x, i) => (row[i] = x * (factors[s * width + i] as number)));
    }
  }
  const moved = await layer.shape.device.run((g) => {
    const columns = g.constant(TYPES.f32, [width, nSamples * nHeadKv], differences);
    const result = g.output(model.graph.projectAttention(g, layer.il, columns));
    return () => readTensor(result, new Float32Array(nEmbd * nSamples * nHeadKv));
  });
  const errors = norms(moved, nEmbd);
  const residual = norms(inputs, nEmbd).sort()[nSamples >> 1] ?? 1;
  return Array.from({ length: nHeadKv }, (_, h) => {
    return { errors: errors.subarray(h * nSamples, (h + 1) * nSamples), residual };
  });
}

/** The logits that take weight which no token gets: [nHead]. */
function readSinkLogits({ sinkLogits, nHead }: ModelLayer): Float32Array | undefined {
  return sinkLogits && readTensor(sinkLogits, new Float32Array(nHead));
}

interface StarvedRows {
  /** [headDim, keys] */
  readonly k: Float32Array;
  /** [headDim, keys] */
  readonly v: Float32Array;
}

/** The keys and values that a starved kv head has for sample `s`; none where that is all that there are. */
function starvedRows(
  { samples, layer: { scratch } }: ErrorInput,
  kvHead: number,
): (s: number) => StarvedRows | undefined {
  const { nPast } = scratch.runOf(kvHead);
  const { headDim } = scratch.shape;
  const last = nPast + (samples.tokens.at(-1) ?? 0);
  if (last < SINKS + NEWEST) return () => undefined;
  // Most samples are the newest tokens, whose stretches overlap: those are read at once.
  const tail = Math.max(SINKS, last - 2 * NEWEST_SAMPLES);
  const read = (of: "k" | "v") => {
    const stretch = (from: number, n: number) => scratch.read(of, kvHead, from, n);
    const [sinks, tailRows] = [stretch(0, SINKS), stretch(tail, last + 1 - tail)];
    return (from: number) => {
      const rows = new Float32Array((SINKS + NEWEST) * headDim);
      rows.set(sinks);
      const newest =
        from < tail
          ? stretch(from, NEWEST)
          : tailRows.subarray((from - tail) * headDim, (from - tail + NEWEST) * headDim);
      rows.set(newest, SINKS * headDim);
      return rows;
    };
  };
  const [k, v] = [read("k"), read("v")];
  return (s) => {
    const at = nPast + (samples.tokens[s] as number);
    if (at < SINKS + NEWEST) return undefined;
    return { k: k(at - NEWEST + 1), v: v(at - NEWEST + 1) };
  };
}

/** out − attention over few keys, for the query heads of one kv head, into `row`. */
function differOfGroup(
  row: Float32Array,
  sample: { readonly query: Float32Array; readonly out: Float32Array },
  kvHead: number,
  few: StarvedRows | undefined,
  shape: Omit<ModelLayer, "sinkLogits"> & { readonly sinkLogits: Float32Array | undefined },
): void {
  if (few === undefined) return;
  const { headDim, scale, softcap } = shape;
  const group = shape.nHead / shape.nHeadKv;
  const weights = new Float32Array(few.k.length / headDim);
  for (let h = kvHead * group; h < (kvHead + 1) * group; h++) {
    const at = h * headDim;
    for (let j = 0; j < weights.length; j++) {
      let dot = 0;
      for (let d = 0; d < headDim; d++) {
        dot += (sample.query[at + d] as number) * (few.k[j * headDim + d] as number);
      }
      const logit = dot * scale;
      weights[j] = softcap === undefined ? logit : softcap * Math.tanh(logit / softcap);
    }
    softmax(weights, shape.sinkLogits?.[h]);
    for (let d = 0; d < headDim; d++) {
      let sum = 0;
      for (let j = 0; j < weights.length; j++) {
        sum += (weights[j] as number) * (few.v[j * headDim + d] as number);
      }
      row[at + d] = (sample.out[at + d] as number) - sum;
    }
  }
}
