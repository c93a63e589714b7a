import type { DeltaNet, Recurrence } from "../../src/models/layer-shape.ts";
import { dot } from "./plain-attention.ts";
import { sigmoid } from "./plain-ffn.ts";
import type { PlainWeights } from "./plain-weights.ts";

type Naming = (part: string) => string;

/** A recurrent layer's state, changed by every token: the tensors of `Recurrence.states`. */
export type PlainState = readonly Float32Array[];

/** What a recurrent layer makes of a token's normed input, behind its way out. */
export function plainMix(
  weights: PlainWeights,
  name: Naming,
  recurrence: Recurrence,
  state: PlainState,
  input: readonly number[],
): number[] {
  if (recurrence.kind === "delta-net") {
    return weights.times(name("ssm_out"), deltaNet(weights, name, recurrence, state, input));
  }
  const parts = weights.times(name("shortconv.in_proj"), input);
  const width = input.length;
  const part = (i: number) => parts.slice(i * width, (i + 1) * width);
  const times = (a: readonly number[], b: readonly number[]) => a.map((v, i) => v * (b[i] ?? NaN));
  const kernel = weights.values(name("shortconv.conv.weight")) as Float32Array;
  const convolved = convolution(kernel, state[0] as Float32Array, times(part(0), part(2)));
  return weights.times(name("shortconv.out_proj"), times(part(1), convolved));
}

/** Each channel's sum over its newest values, this one behind those of the state, which moves on. */
function convolution(kernel: Float32Array, before: Float32Array, x: readonly number[]): number[] {
  const held = before.length / x.length;
  return x.map((value, channel) => {
    const past = before.subarray(channel * held, (channel + 1) * held);
    const taps = kernel.subarray(channel * (held + 1), (channel + 1) * (held + 1));
    const sum = dot(taps, [...past, value]);
    past.set([...past.subarray(1), value]);
    return sum;
  });
}

/** The gated delta rule as its paper has it, a token at a time. */
function deltaNet(
  weights: PlainWeights,
  name: Naming,
  { headDim, nKeyHead, nValueHead, sharesNeighbours }: DeltaNet,
  [before, memory]: PlainState,
  input: readonly number[],
): number[] {
  const kernel = weights.values(name("ssm_conv1d.weight")) as Float32Array;
  const projected = weights.times(name("attn_qkv"), input);
  const heads = convolution(kernel, before as Float32Array, projected).map(silu);
  const z = weights.times(name("attn_gate"), input);
  const { learned, forgotten } = rates(weights, name, { nKeyHead, nValueHead }, input);
  const bias = weights.values(name("ssm_dt.bias")) as Float32Array;
  const decays = weights.values(name("ssm_a")) as Float32Array;
  const group = nValueHead / nKeyHead;
  return Array.from({ length: nValueHead }, (_, h) => {
    const keyHead = sharesNeighbours ? Math.floor(h / group) : h % nKeyHead;
    const cut = (head: number) => heads.slice(head * headDim, (head + 1) * headDim);
    const q = unit(cut(keyHead), weights.epsilon).map((x) => x / Math.sqrt(headDim));
    const k = unit(cut(nKeyHead + keyHead), weights.epsilon);
    const v = cut(2 * nKeyHead + h);
    const stays = Math.exp(
      (decays[h] as number) * Math.log1p(Math.exp((forgotten[h] as number) + (bias[h] as number))),
    );
    const rate = sigmoid(learned[h] as number);
    const size = headDim * headDim;
    const state = (memory as Float32Array).subarray(h * size, (h + 1) * size);
    const out = v.map((value, j) => {
      const row = state.subarray(j * headDim, (j + 1) * headDim);
      row.forEach((x, i) => (row[i] = x * stays));
      const change = (value - dot(row, k)) * rate;
      row.forEach((x, i) => (row[i] = x + change * (k[i] as number)));
      return dot(row, q);
    });
    return weights
      .norm(name("ssm_norm"), out)
      .map((x, i) => x * silu(z[h * headDim + i] as number));
  }).flat();
}

/** How much each value head learns and forgets, from two matrices or from one that has them key head by key head. */
function rates(
  weights: PlainWeights,
  name: Naming,
  { nKeyHead, nValueHead }: Pick<DeltaNet, "nKeyHead" | "nValueHead">,
  input: readonly number[],
): { learned: number[]; forgotten: number[] } {
  if (!weights.has(name("ssm_ba"))) {
    const [learned, forgotten] = ["ssm_beta", "ssm_alpha"].map((part) =>
      weights.times(name(part), input),
    ) as [number[], number[]];
    return { learned, forgotten };
  }
  const both = weights.times(name("ssm_ba"), input);
  const group = nValueHead / nKeyHead;
  const isLearned = (i: number) => i % (2 * group) < group;
  return {
    learned: both.filter((_, i) => isLearned(i)),
    forgotten: both.filter((_, i) => !isLearned(i)),
  };
}

function unit(x: readonly number[], epsilon: number): number[] {
  const length = Math.sqrt(dot(x, x) + epsilon);
  return x.map((v) => v / length);
}

function silu(x: number): number {
  return x * sigmoid(x);
}
