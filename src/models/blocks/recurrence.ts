import type { Graph } from "../../ggml/graph.ts";
import { normed } from "../../ggml/operations/ggml.ts";
import type { Norm } from "../../ggml/operations/nodes.ts";
import { tensorShape, tensorStrides, type Tensor } from "../../ggml/tensor-buffer.ts";
import type { States } from "../architecture.ts";
import type { DeltaNet, Recurrence } from "../layer-shape.ts";
import { linear, linearParts, type Weight } from "./linear.ts";

/** The weights of a recurrent layer by the names of their rules. */
export interface RecurrenceWeights {
  readonly weight: (name: string) => Weight;
  readonly optional: (name: string) => Weight | undefined;
  readonly tensor: (name: string) => Tensor;
  readonly epsilon: number;
  /** Of the layer's input. */
  readonly norm: Norm | undefined;
}

/**
 * A recurrent layer's tokens, mixed: `x` f32 [nEmbd, n], which are as many tokens of each of the sequences, one sequence
 * after the other, those of the first `states` first → f32 [width, n], which the way out takes.
 */
export function mixed(
  g: Graph,
  x: Tensor,
  states: readonly States[],
  w: RecurrenceWeights,
  recurrence: Recurrence,
): Tensor {
  return recurrence.kind === "short-convolution"
    ? shortConvolution(g, x, states, w)
    : deltaNet(g, x, states, w, recurrence);
}

/** c · convolution(b · x), the three of them from one matrix. */
function shortConvolution(
  g: Graph,
  x: Tensor,
  states: readonly States[],
  w: RecurrenceWeights,
): Tensor {
  const parts = linear(g, w.weight("convIn"), x, { norm: w.norm });
  const [total, n] = tensorShape(parts) as [number, number];
  const width = total / 3;
  const part = (i: number) => g.view2d(parts, width, n, total * 4, i * width * 4);
  const input = g.mul(part(0), part(2));
  const convolved = perStates(g, states, input, (columns, of) =>
    convolution(g, columns, of, w.tensor("convKernel")),
  );
  return g.mul(part(1), convolved);
}

/** Heads that remember by the gated delta rule, normed and gated. */
function deltaNet(
  g: Graph,
  x: Tensor,
  states: readonly States[],
  w: RecurrenceWeights,
  shape: DeltaNet,
): Tensor {
  const { headDim, nValueHead } = shape;
  const n = tensorShape(x)[1] as number;
  const projected = linearParts(g, [w.weight("qkv"), w.weight("outGate")], x, { norm: w.norm });
  const [channels, outGate] = projected.parts as [Tensor, Tensor];
  const { rate, decay } = rates(g, x, w, shape);
  const remembered = perStates(g, states, channels, (columns, of, first) => {
    const count = tensorShape(columns)[1] as number;
    const heads = g.silu(convolution(g, columns, of, w.tensor("convKernel")));
    const ofTokens = (t: Tensor) =>
      g.view2d(t, nValueHead, count, nValueHead * 4, first * nValueHead * 4);
    const changes = { decay: ofTokens(decay), rate: ofTokens(rate) };
    return deltaRule(g, heads, changes, of, { ...shape, epsilon: w.epsilon });
  });
  const heads = g.reshape(remembered, headDim, nValueHead, n);
  const norm = { weight: w.tensor("outNorm"), epsilon: w.epsilon };
  const gate = g.silu(g.reshape(whole(g, outGate), headDim, nValueHead, n));
  return g.reshape(g.mul(normed(g, heads, norm), gate), headDim * nValueHead, n);
}

/** How much each value head learns from each token, and the logarithm of how much of what it knew stays: f32 [nValueHead, n]. */
function rates(
  g: Graph,
  x: Tensor,
  w: RecurrenceWeights,
  { nKeyHead, nValueHead }: DeltaNet,
): { rate: Tensor; decay: Tensor } {
  const joined = w.optional("rates");
  const n = tensorShape(x)[1] as number;
  const [learned, forgotten] =
    joined === undefined
      ? linearParts(g, [w.weight("learned"), w.weight("forgotten")], x, { norm: w.norm }).parts
      : byKeyHead(linear(g, joined, x, { norm: w.norm }));
  const steps = g.softplus(g.add(whole(g, forgotten as Tensor), w.tensor("stepBias")));
  return {
    rate: g.sigmoid(whole(g, learned as Tensor)),
    decay: g.mul(steps, w.tensor("decay")),
  };

  /** Both from one matrix, for the value heads of one key head after those of another. */
  function byKeyHead(both: Tensor): Tensor[] {
    const group = nValueHead / nKeyHead;
    const strides = [2 * group * 4, 2 * nValueHead * 4] as const;
    return [0, 1].map((i) => {
      const part = g.view3d(both, [group, nKeyHead, n], strides, i * group * 4);
      return g.reshape(g.contiguous(part), nValueHead, n);
    });
  }
}

/** f32 [headDim · nValueHead, n] of `heads` f32 [channels, n]: queries, keys, values. */
function deltaRule(
  g: Graph,
  heads: Tensor,
  changes: { readonly decay: Tensor; readonly rate: Tensor },
  { before, after }: States,
  { headDim, nKeyHead, nValueHead, sharesNeighbours, epsilon }: DeltaNet & { epsilon: number },
): Tensor {
  const [channels, n] = tensorShape(heads) as [number, number];
  const state = before[1] as Tensor;
  const sequences = tensorShape(state)[3] as number;
  const tokens = n / sequences;
  const head = headDim * 4;
  const cut = (first: number, count: number) => {
    const strides = [head, channels * 4, channels * 4 * tokens] as const;
    return g.view4d(heads, [headDim, count, tokens, sequences], strides, first * head);
  };
  /** A key head for each of the value heads that share it. */
  const shared = (t: Tensor) => {
    if (!sharesNeighbours || nKeyHead === nValueHead) return t;
    const apart = g.reshape(t, headDim, 1, nKeyHead, n);
    const each = g.repeat(apart, [headDim, nValueHead / nKeyHead, nKeyHead, n]);
    return g.reshape(each, headDim, nValueHead, tokens, sequences);
  };
  /** Over √(sum of squares + epsilon), as the authors' code has it; ggml's own operation takes the larger of the two. */
  const unit = (t: Tensor) => g.scale(g.rmsNorm(t, epsilon / headDim), 1 / Math.sqrt(headDim));
  const q = shared(unit(cut(0, nKeyHead)));
  const k = shared(unit(cut(nKeyHead, nKeyHead)));
  const v = cut(2 * nKeyHead, nValueHead);
  const perHead = (t: Tensor) => g.reshape(t, 1, nValueHead, tokens, sequences);
  const { decay, rate } = changes;
  const change = { decay: perHead(decay), rate: perHead(rate) };
  const result = g.gatedDeltaNet({ q, k, v }, change, state);
  const width = headDim * nValueHead;
  if (after !== undefined) {
    const values = headDim * width * sequences;
    g.expand(g.copy(g.view1d(result, values, width * n * 4), after[1] as Tensor));
  }
  return g.view2d(result, width, n, width * 4, 0);
}

/** `columns` f32 [channels, n] of one sequence after the other, each with the tokens before it → f32 [channels, n]. */
function convolution(g: Graph, columns: Tensor, states: States, kernel: Tensor): Tensor {
  const state = states.before[0] as Tensor;
  const [channels, n] = tensorShape(columns) as [number, number];
  const stride = tensorStrides(columns)[1] as number;
  const [before, , sequences] = tensorShape(state) as [number, number, number];
  const tokens = n / sequences;
  const bySequence = g.view3d(columns, [channels, tokens, sequences], [stride, stride * tokens], 0);
  const rows = g.concat(state, g.permute(bySequence, 1, 0, 2, 3), 0); // [taps − 1 + tokens, channels, sequences]
  if (states.after !== undefined) {
    const [, nb1, nb2] = tensorStrides(rows) as [number, number, number];
    const newest = g.view3d(rows, [before, channels, sequences], [nb1, nb2], tokens * 4);
    g.expand(g.copy(newest, states.after[0] as Tensor));
  }
  return g.reshape(g.ssmConv(rows, kernel), channels, n);
}

/** What comes of the columns of `x` f32 [k, n] that belong to each of the states, side by side again. */
function perStates(
  g: Graph,
  states: readonly States[],
  x: Tensor,
  of: (columns: Tensor, states: States, first: number) => Tensor,
): Tensor {
  const [width, n] = tensorShape(x) as [number, number];
  const stride = tensorStrides(x)[1] as number;
  const counts = states.map(({ before }) => tensorShape(before[0] as Tensor)[2] as number);
  const tokens = n / counts.reduce((a, b) => a + b, 0);
  let first = 0;
  const results = states.map((one, i) => {
    const count = tokens * (counts[i] as number);
    const result = of(g.view2d(x, width, count, stride, first * stride), one, first);
    first += count;
    return result;
  });
  return results.reduce((a, b) => g.concat(a, b, 1));
}

/** Rows that lie behind one another: ggml takes no others in operations on single numbers. */
function whole(g: Graph, t: Tensor): Tensor {
  const width = tensorShape(t)[0] as number;
  return tensorStrides(t)[1] === width * 4 ? t : g.contiguous(t);
}
