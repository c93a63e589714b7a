import type { Pointer } from "./ffi.ts";
import type { GgmlFunctions } from "./functions.ts";
import type { CustomNodes } from "./kernels/kernels.ts";
import { allocateStruct, freeStruct, type KernelStruct } from "./kernels/structs.ts";
import { native } from "./native.ts";
import type { SoftmaxOptions } from "./operations/nodes.ts";
import { NativeOwner } from "./owner.ts";
import {
  newTensor,
  tensorShape,
  tensorStrides,
  type Tensor,
  type TensorSpec,
} from "./tensor-buffer.ts";
import { rowBytes, TYPES, type TensorType } from "./types.ts";

/** GGML_OP_POOL_MAX (ggml.h). */
const POOL_MAX = 0;

/** Parameters of rotary position embedding, as `ggml_rope_ext` takes them. */
export interface RopeParameters {
  readonly dims: number;
  /** 0: pairs side by side ("norm", llama); 2: pairs half a head apart ("neox"). */
  readonly mode: number;
  readonly nCtxOrig: number;
  readonly freqBase: number;
  readonly freqScale: number;
  readonly extFactor: number;
  readonly attnFactor: number;
  readonly betaFast: number;
  readonly betaSlow: number;
}

/**
 * A compute graph under construction. Operations mirror ggml's, and shapes are in ggml order
 * (`ne[0]` runs fastest). Bad shapes abort the process inside ggml, so whatever comes from a file
 * or a user is validated before it reaches a graph.
 */
export class Graph extends NativeOwner implements CustomNodes {
  readonly #ggml: GgmlFunctions;
  readonly #context: Pointer;
  /** The native graph; for the backend only. */
  readonly handle: Pointer;
  /** Arguments of custom operations, which are read whenever the graph runs. */
  readonly #structs: Pointer[] = [];
  #workspaceBytes = 0;

  constructor(
    maxNodes = 2048,
    /** In a graph of decode steps: i32 [1], how many of its columns are there; what one gives depends on no other. */
    readonly columns?: Pointer,
  ) {
    super();
    this.#ggml = native().ggml;
    this.#context = this.#ggml.init({
      mem_size:
        this.#ggml.tensorOverhead() * maxNodes * 2 + this.#ggml.graphOverhead(maxNodes, false),
      mem_buffer: null,
      no_alloc: true,
    });
    this.handle = this.#ggml.newGraph(this.#context, maxNodes, false);
  }

  /** A tensor that is filled from the host before the graph runs. */
  input(spec: TensorSpec): Tensor {
    const t = newTensor(this.#context, spec);
    this.#ggml.setInput(t);
    return t;
  }

  /** Marks `t` as a result that is read after the graph ran, and adds it to the graph. */
  output(t: Tensor): Tensor {
    this.#ggml.setOutput(t);
    this.expand(t);
    return t;
  }

  /** Adds `t` and all that it needs to the graph, in order. */
  expand(t: Tensor): void {
    this.#ggml.buildForwardExpand(this.handle, t);
  }

  needWorkspace(bytes: number): void {
    this.#workspaceBytes = Math.max(this.#workspaceBytes, bytes);
  }

  /** Bytes of workspace that the most demanding custom operation needs. */
  get workspaceBytes(): number {
    return this.#workspaceBytes;
  }

  /** A struct that lives as long as this graph. */
  keepStruct(type: KernelStruct, value: object): Pointer {
    const address = allocateStruct(type, value);
    this.#structs.push(address);
    return address;
  }

  /** An operation by the address of its function, run by all threads: f32 of this shape. */
  custom(
    operation: Pointer,
    args: Pointer,
    [ne0 = 1, ne1 = 1, ne2 = 1]: readonly number[],
    sources: readonly Tensor[],
  ): Tensor {
    const { id } = TYPES.f32;
    const { custom4d } = this.#ggml;
    const context = this.#context;
    return custom4d(context, id, ne0, ne1, ne2, 1, sources, sources.length, operation, -1, args);
  }

  add(a: Tensor, b: Tensor): Tensor {
    return this.#ggml.add(this.#context, a, b);
  }
  sub(a: Tensor, b: Tensor): Tensor {
    return this.#ggml.sub(this.#context, a, b);
  }
  mul(a: Tensor, b: Tensor): Tensor {
    return this.#ggml.mul(this.#context, a, b);
  }
  div(a: Tensor, b: Tensor): Tensor {
    return this.#ggml.div(this.#context, a, b);
  }
  clamp(a: Tensor, min: number, max: number): Tensor {
    return this.#ggml.clamp(this.#context, a, min, max);
  }
  rmsNorm(a: Tensor, epsilon: number): Tensor {
    return this.#ggml.rmsNorm(this.#context, a, epsilon);
  }
  /** Layer norm: less the mean over `ne[0]`, then of unit variance. */
  norm(a: Tensor, epsilon: number): Tensor {
    return this.#ggml.norm(this.#context, a, epsilon);
  }
  /** `a · factor + offset` */
  scale(a: Tensor, factor: number, offset = 0): Tensor {
    return offset === 0
      ? this.#ggml.scale(this.#context, a, factor)
      : this.#ggml.scaleBias(this.#context, a, factor, offset);
  }
  sigmoid(a: Tensor): Tensor {
    return this.#ggml.sigmoid(this.#context, a);
  }
  /** `ln(1 + eᵃ)` */
  softplus(a: Tensor): Tensor {
    return this.#ggml.softplus(this.#context, a);
  }
  floor(a: Tensor): Tensor {
    return this.#ggml.floor(this.#context, a);
  }
  log(a: Tensor): Tensor {
    return this.#ggml.log(this.#context, a);
  }
  silu(a: Tensor): Tensor {
    return this.#ggml.silu(this.#context, a);
  }
  /** `a [m, nUsed, n]` plus one of the rows of `rows [m, …]` per column, `ids [nUsed, n]`. */
  addId(a: Tensor, rows: Tensor, ids: Tensor): Tensor {
    return this.#ggml.addId(this.#context, a, rows, ids);
  }
  /** `weights [k, m]` times `x [k, n]` → f32 `[m, n]`. */
  mulMat(weights: Tensor, x: Tensor): Tensor {
    return this.#ggml.mulMat(this.#context, weights, x);
  }
  /** The same with one of several weight matrices per column, `ids [nUsed, n]`. */
  mulMatId(weights: Tensor, x: Tensor, ids: Tensor): Tensor {
    return this.#ggml.mulMatId(this.#context, weights, x, ids);
  }
  /** `a [m, k]`, `b [n, k]` → `a bᵀ [m, n]`: with ones for `b`, sums over columns. */
  outProd(a: Tensor, b: Tensor): Tensor {
    return this.#ggml.outProd(this.#context, a, b);
  }
  swiglu(gate: Tensor, up: Tensor): Tensor {
    return this.#ggml.swigluSplit(this.#context, gate, up);
  }
  /** silu of the first half of each row, times the second half. */
  swigluHalves(a: Tensor): Tensor {
    return this.#ggml.swiglu(this.#context, a);
  }
  geglu(gate: Tensor, up: Tensor): Tensor {
    return this.#ggml.gegluSplit(this.#context, gate, up);
  }
  /** gate · sigmoid(slope · gate) · (up + 1), the gate at most `limit`, up within ± `limit`. */
  clampedSwiglu(gate: Tensor, up: Tensor, slope: number, limit: number): Tensor {
    return this.#ggml.swigluOai(this.#context, gate, up, slope, limit);
  }
  gelu(a: Tensor): Tensor {
    return this.#ggml.gelu(this.#context, a);
  }
  softMax(a: Tensor): Tensor {
    return this.#ggml.softMax(this.#context, a);
  }
  /**
   * softmax over `ne[0]` of `a · scale + mask`; the mask, f32 [ne[0], ne[1]], is the same for all heads. A logit of each
   * head, `sinkLogits` f32 [ne[2]], takes weight that no element gets.
   */
  softMaxScaled(
    a: Tensor,
    scale: number,
    { mask = null, sinkLogits }: { mask?: Tensor | null; sinkLogits?: Tensor | undefined } = {},
  ): Tensor {
    const weights = this.#ggml.softMaxExt(this.#context, a, mask, scale, 0);
    if (sinkLogits !== undefined) this.#ggml.softMaxAddSinks(weights, sinkLogits);
    return weights;
  }
  /** `cap · tanh(a · scale / cap)` */
  softCap(a: Tensor, scale: number, cap: number): Tensor {
    const inner = this.#ggml.scale(this.#context, a, scale / cap);
    return this.#ggml.scale(this.#context, this.#ggml.tanh(this.#context, inner), cap);
  }
  /** Sets `a[j, i, …]` to −∞ for `j > nPast + i`, in place. */
  causalMask(a: Tensor, nPast: number): Tensor {
    return this.#ggml.diagMaskInfInplace(this.#context, a, nPast);
  }
  /** Sets `a[j, i, …]` to 0 for `j > nPast + i`. */
  causalZero(a: Tensor, nPast: number): Tensor {
    return this.#ggml.diagMaskZero(this.#context, a, nPast);
  }
  relu(a: Tensor): Tensor {
    return this.#ggml.relu(this.#context, a);
  }
  /** The largest of each row, `[n, m, …]` → `[1, m, …]`. */
  maxOfRows(a: Tensor): Tensor {
    const n = tensorShape(a)[0] as number;
    return this.#ggml.pool1d(this.#context, a, POOL_MAX, n, n, 0);
  }
  /** `[n, …]` → `[1, …]`. */
  sumRows(a: Tensor): Tensor {
    return this.#ggml.sumRows(this.#context, a);
  }
  /** The place of the largest of each row, `[n, m]` → i32 `[m]`. */
  argmax(a: Tensor): Tensor {
    return this.#ggml.argmax(this.#context, a);
  }
  /** The indices of the `k` largest of each row, as views of a full sort. */
  argsortTopK(a: Tensor, k: number): Tensor {
    return this.#ggml.argsortTopK(this.#context, a, k);
  }
  rope(a: Tensor, positions: Tensor, factors: Tensor | null, p: RopeParameters): Tensor {
    return this.#ggml.ropeExt(
      this.#context,
      a,
      positions,
      factors,
      p.dims,
      p.mode,
      p.nCtxOrig,
      p.freqBase,
      p.freqScale,
      p.extFactor,
      p.attnFactor,
      p.betaFast,
      p.betaSlow,
    );
  }
  /** q `[d, n, nHead]`, k and v `[d, nKv, nHeadKv]`, mask f16 `[nKv, n]` → `[d, nHead, n]`. */
  flashAttention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | null,
    { scale, softcap = 0, sinkLogits }: SoftmaxOptions,
  ): Tensor {
    const out = this.#ggml.flashAttnExt(this.#context, q, k, v, mask, scale, 0, softcap);
    if (sinkLogits !== undefined) this.#ggml.flashAttnAddSinks(out, sinkLogits);
    return out;
  }
  /** Each channel's sum over a tap and those before it: `a [taps − 1 + n, channels, k]`, `kernel [taps, channels]` → `[channels, n, k]`. */
  ssmConv(a: Tensor, kernel: Tensor): Tensor {
    return this.#ggml.ssmConv(this.#context, a, kernel);
  }
  /**
   * The gated delta rule: queries and keys `[d, nKeyHead, n, k]` of length 1, values `[d, nValueHead, n, k]`, the logarithm
   * of what stays `decay` and how much is learned `rate` `[1, nValueHead, n, k]`, `state [d, d, nValueHead, k]` → what it
   * gives, `[d, nValueHead, n, k]`, and behind that the new state, in one row.
   */
  gatedDeltaNet(
    heads: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
    { decay, rate }: { readonly decay: Tensor; readonly rate: Tensor },
    state: Tensor,
  ): Tensor {
    const { q, k, v } = heads;
    return this.#ggml.gatedDeltaNet(this.#context, q, k, v, decay, rate, state, 1);
  }
  /** `a` again and again, to this shape. */
  repeat(a: Tensor, [ne0, ne1, ne2, ne3]: readonly [number, number, number, number]): Tensor {
    return this.#ggml.repeat4d(this.#context, a, ne0, ne1, ne2, ne3);
  }
  /** Rows of `a` by index, as f32. */
  getRows(a: Tensor, rows: Tensor): Tensor {
    return this.#ggml.getRows(this.#context, a, rows);
  }
  /** Writes the rows of `values` into `into` at `rows`, converting to its type. */
  setRows(into: Tensor, values: Tensor, rows: Tensor): Tensor {
    return this.#ggml.setRows(this.#context, into, values, rows);
  }
  /** Copies `from` into `to`, converting between their types and strides. */
  copy(from: Tensor, to: Tensor): Tensor {
    return this.#ggml.cpy(this.#context, from, to);
  }
  contiguous(a: Tensor): Tensor {
    return this.#ggml.cont(this.#context, a);
  }
  cast(a: Tensor, type: TensorType): Tensor {
    return this.#ggml.cast(this.#context, a, type.id);
  }
  concat(a: Tensor, b: Tensor, dimension: number): Tensor {
    return this.#ggml.concat(this.#context, a, b, dimension);
  }
  permute(a: Tensor, d0: number, d1: number, d2: number, d3: number): Tensor {
    return this.#ggml.permute(this.#context, a, d0, d1, d2, d3);
  }
  reshape(a: Tensor, ne0: number, ne1: number, ne2?: number, ne3?: number): Tensor {
    if (ne3 !== undefined) {
      return this.#ggml.reshape4d(this.#context, a, ne0, ne1, ne2 as number, ne3);
    }
    return ne2 === undefined
      ? this.#ggml.reshape2d(this.#context, a, ne0, ne1)
      : this.#ggml.reshape3d(this.#context, a, ne0, ne1, ne2);
  }
  view1d(a: Tensor, ne0: number, byteOffset: number): Tensor {
    return this.#ggml.view1d(this.#context, a, ne0, byteOffset);
  }
  view2d(a: Tensor, ne0: number, ne1: number, nb1: number, byteOffset: number): Tensor {
    return this.#ggml.view2d(this.#context, a, ne0, ne1, nb1, byteOffset);
  }
  view3d(
    a: Tensor,
    [ne0, ne1, ne2]: readonly [number, number, number],
    [nb1, nb2]: readonly [number, number],
    byteOffset: number,
  ): Tensor {
    return this.#ggml.view3d(this.#context, a, ne0, ne1, ne2, nb1, nb2, byteOffset);
  }
  view4d(
    a: Tensor,
    [ne0, ne1, ne2, ne3]: readonly [number, number, number, number],
    [nb1, nb2, nb3]: readonly [number, number, number],
    byteOffset: number,
  ): Tensor {
    const context = this.#context;
    return this.#ggml.view4d(context, a, ne0, ne1, ne2, ne3, nb1, nb2, nb3, byteOffset);
  }
  /** `[ne0, ne1, n]` without the first `skip` of the `n`. */
  skipColumns(a: Tensor, skip: number): Tensor {
    if (skip === 0) return a;
    const [ne0 = 1, ne1 = 1, ne2 = 1] = tensorShape(a);
    const [, nb1 = 0, nb2 = 0] = tensorStrides(a);
    return this.view3d(a, [ne0, ne1, ne2 - skip], [nb1, nb2], skip * nb2);
  }
  /** Rows `[first, first + n)` of a matrix with rows of `width` elements. */
  rows(a: Tensor, type: TensorType, width: number, first: number, n: number): Tensor {
    const nb1 = rowBytes(type, width);
    return this.view2d(a, width, n, nb1, first * nb1);
  }

  protected release(): void {
    for (const address of this.#structs) freeStruct(address);
    this.#ggml.free(this.#context);
  }
}
