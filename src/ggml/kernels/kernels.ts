import type { Pointer } from "../ffi.ts";
import { NativeOwner } from "../owner.ts";
import {
  isInHostMemory,
  tensorShape,
  tensorType,
  type BufferType,
  type Tensor,
} from "../tensor-buffer.ts";
import { TYPES, type TensorType } from "../types.ts";
import {
  ROPE_NEOX,
  ROPE_NORM,
  type DecodeInputs,
  type HeadsShape,
  type LinearNode,
  type ScoreNode,
  type SoftmaxOptions,
  type Summed,
} from "../operations/nodes.ts";
import {
  kernelLibrary,
  type KernelLibrary,
  type KernelLimits,
  type KernelVariant,
} from "./library.ts";
import type { KernelStruct } from "./structs.ts";
import { Workspace } from "./workspace.ts";

/** Values in a block of weights; rows are read in whole blocks. */
const BLOCK = 32;
/** Head sizes are multiples of the widest vector. */
const HEAD_STEP = 16;

/** What a graph offers to those who add operations of their own. */
export interface CustomNodes {
  /** In a graph of decode steps: i32 [1], how many of its columns are there. */
  readonly columns?: Pointer | undefined;
  /** Notes what a node needs of the workspace. */
  needWorkspace(bytes: number): void;
  /** A struct that lives as long as the graph. */
  keepStruct(type: KernelStruct, value: object): Pointer;
  /** An operation by the address of its function: f32 of this shape. */
  custom(
    operation: Pointer,
    args: Pointer,
    shape: readonly number[],
    sources: readonly Tensor[],
  ): Tensor;
}

/** Attention of many queries; without values only what is summed of it. */
export interface KernelAttention extends ScoreNode, Summed {
  /** f16 like `k` */
  readonly v?: Tensor | undefined;
  /** Keys that a query sees, its own included (sliding window); all by default. */
  readonly window?: number | undefined;
  /** Whether sums alone are computed with the products of attention, to be what they are alongside it. */
  readonly likeAttention?: boolean;
}

/** Lanes of AVX-512. */
const WIDE = 16;

/** Weights whose values we unpack more slowly than ggml multiplies them with a token in 8 bits. */
const SLOW_ALONE: ReadonlySet<string> = new Set([TYPES.q4_K.name, TYPES.q6_K.name]);

/** Our own operations (`native/`), as nodes of a graph. One for each engine, with its threads. */
export class Kernels extends NativeOwner {
  readonly workspace: Workspace;
  readonly #library: KernelLibrary;
  /** The best variant whose products are f32. */
  readonly #exact: KernelVariant;

  constructor(
    readonly variant: KernelVariant,
    private readonly threads: number,
    bufferType: BufferType,
  ) {
    super();
    this.#library = kernelLibrary() as KernelLibrary;
    const isExact = (v: KernelVariant) => v.available && v.precision === "f32" && v.passes();
    this.#exact = isExact(variant) ? variant : (this.#library.variants.find(isExact) ?? variant);
    this.workspace = new Workspace(bufferType);
  }

  get limits(): KernelLimits {
    return this.#library.limits;
  }

  /** Whether weights of this type and row length are read from plain memory. */
  readsWeights(type: TensorType, k: number): boolean {
    return k % BLOCK === 0 && this.#library.functions.readsType(type.id) !== 0;
  }

  /** Whether weights that ggml can repack for itself are better left to it. */
  get prefersRepacked(): boolean {
    return this.variant.lanes < WIDE;
  }

  /** Whether a linear operation on `n` columns of a graph is ours: its weights are readable, and we are faster. */
  takes(g: CustomNodes, weights: readonly Tensor[], n: number): boolean {
    const isFew = n <= this.limits.fewColumns;
    // With fewer lanes, ggml's 8-bit products read the weights of a token faster than floats do.
    if (isFew && this.variant.lanes < WIDE) return false;
    // A decode step takes each of its columns as it would take one.
    const readsOften = isFew || g.columns !== undefined;
    const isFast = (type: TensorType) => !readsOften || !SLOW_ALONE.has(type.name);
    return weights.every((w) => {
      const type = tensorType(w);
      const [k = 0] = tensorShape(w);
      if (type === undefined || !this.readsWeights(type, k)) return false;
      return isFast(type) && isInHostMemory(w);
    });
  }

  /** Whether heads of this shape can be attended to, rotated and decoded. */
  attends({ headDim, rope }: HeadsShape): boolean {
    const pairs = rope.dims % 2 === 0 && (rope.mode === ROPE_NORM || rope.mode === ROPE_NEOX);
    return headDim % HEAD_STEP === 0 && headDim <= this.limits.largestHead && pairs;
  }

  /** f32 [m, n], or [sum of m, n] where there are several weights that are not gated. */
  linear(g: CustomNodes, node: LinearNode): Tensor {
    const [k, n] = tensorShape(node.x) as [number, number];
    const rows = node.weights.map((w) => tensorShape(w)[1] as number);
    const sources = [node.x, ...node.weights];
    const source = (t: Tensor | undefined) => (t === undefined ? -1 : sources.push(t) - 1);
    const args = {
      columns: g.columns ?? null,
      n_weights: node.weights.length,
      gated: Number(node.gated),
      norm: source(node.norm?.weight),
      epsilon: node.norm?.epsilon ?? 0,
      residual: source(node.residual),
      bias: [0, 1, 2].map((i) => source(node.biases[i])),
    };
    const { linearPacks, linearWorkspace } = this.#library.functions;
    const { handle } = this.variant;
    const packs = node.weights.reduce(
      (all, w) => all | linearPacks(handle, (tensorType(w) as TensorType).id),
      0,
    );
    const isDecode = Number(g.columns !== undefined);
    const bytes = linearWorkspace(handle, k, n, isDecode, args.gated, packs, this.threads);
    const m = node.gated ? (rows[0] as number) : rows.reduce((a, b) => a + b, 0);
    return this.#node(
      g,
      this.variant.operations.linear,
      "pkv_linear_args",
      args,
      bytes,
      [m, n],
      sources,
    );
  }

  /**
   * f32 [headDim, nHead, n]; without values a tensor of no use, which must be expanded for its sums. Sums alone are
   * computed in f32 by all variants unless asked otherwise: a window's are cheap, and decide which tokens are kept.
   */
  attention(g: CustomNodes, node: KernelAttention): Tensor {
    const [headDim, n, nHead] = tensorShape(node.q) as [number, number, number];
    const [, nKv, nHeadKv] = tensorShape(node.k) as [number, number, number];
    const sources = [node.q, node.k];
    const source = (t: Tensor | undefined) => (t === undefined ? -1 : sources.push(t) - 1);
    const sums = node.sums ?? [];
    if (sums.length > this.limits.sums)
      throw new Error(`${sums.length} kinds of sums in one attention`);
    const values = Number(source(node.v) > 0); // the third source, where there are values
    const places = Array.from({ length: this.limits.sums }, (_, i) => sums[i]);
    const args = {
      scale: node.scale,
      softcap: node.softcap ?? 0,
      sinks: source(node.sinkLogits),
      window: node.window ?? 0,
      values,
      sums: places.map((kind) => source(kind?.into)),
      distance: places.map((kind) => kind?.distance ?? 0),
      peaks: Number(node.peaks ?? false),
    };
    const { attentionWorkspace } = this.#library.functions;
    const exact = node.v === undefined && node.likeAttention !== true;
    const variant = exact ? this.#exact : this.variant;
    const bytes = attentionWorkspace(
      ...[variant.handle, headDim, nKv, sums.length, nHead / nHeadKv],
      this.threads,
    );
    const shape = node.v === undefined ? [1] : [headDim, nHead, n];
    const { attention } = variant.operations;
    return this.#node(g, attention, "pkv_attention_args", args, bytes, shape, sources);
  }

  /**
   * Rotates the queries of `qkv` f32 [headDim · (nHead + 2 nHeadKv), n] and puts keys, rotated, and values
   * into `k` and `v`, f16 [headDim, n, nHeadKv]. `table` f32 [headDim, n] is the rotation of (1, 0) pairs.
   *
   * @returns f32 [headDim, nHead, n]
   */
  rotate(
    g: CustomNodes,
    { qkv, table, k, v }: { qkv: Tensor; table: Tensor; k: Tensor; v: Tensor },
    shape: HeadsShape,
  ): Tensor {
    const n = tensorShape(qkv)[1] as number;
    const sizes = [shape.headDim, shape.nHead, n];
    const sources = [qkv, table, k, v];
    return this.#node(
      g,
      this.variant.operations.rotate,
      "pkv_rotate_args",
      rotation(shape),
      0,
      sizes,
      sources,
    );
  }

  /**
   * A token of each of some sequences: appends its key and value to the sequence's cache and attends to that. A head's
   * rows may lie in several segments; the token goes behind the last one.
   *
   * @param inputs `qkv` f32 [headDim · (nHead + 2 nHeadKv), n], `table` f32 [headDim, n], and the memory of
   *   `SegmentTable`: segments i64 [3, segments, nHeadKv · n] and columns i64 [4, n]
   * @returns f32 [headDim · nHead, n]
   */
  decode(g: CustomNodes, inputs: DecodeInputs, shape: HeadsShape & SoftmaxOptions): Tensor {
    const { headDim, nHead, scale, softcap = 0, sinkLogits } = shape;
    const n = tensorShape(inputs.qkv)[1] as number;
    const sources = [inputs.qkv, inputs.table, inputs.segments, inputs.columns];
    const args = {
      shape: rotation(shape),
      scale,
      softcap,
      sinks: sinkLogits === undefined ? -1 : sources.push(sinkLogits) - 1,
      columns: g.columns ?? null,
    };
    const { decode } = this.variant.operations;
    return this.#node(g, decode, "pkv_decode_args", args, 0, [headDim * nHead, n], sources);
  }

  /** Bytes of workspace that decoding takes where the heads of all columns have `parts` parts of `limits.decodePart` keys. */
  decodeBytes({ headDim, nHead, nHeadKv }: HeadsShape, parts: number): number {
    const { decodeWorkspace } = this.#library.functions;
    return decodeWorkspace(this.variant.handle, headDim, parts, nHead / nHeadKv, this.threads);
  }

  #node(
    g: CustomNodes,
    operation: Pointer,
    struct: KernelStruct,
    args: object,
    workspaceBytes: number,
    shape: readonly number[],
    sources: readonly Tensor[],
  ): Tensor {
    this.assertAlive();
    g.needWorkspace(workspaceBytes);
    const address = g.keepStruct(struct, { workspace: this.workspace.address, ...args });
    return g.custom(operation, address, shape, sources);
  }

  protected release(): void {
    this.workspace[Symbol.dispose]();
  }
}

function rotation({ nHead, nHeadKv, rope }: HeadsShape) {
  return {
    n_head: nHead,
    n_head_kv: nHeadKv,
    neox: Number(rope.mode === ROPE_NEOX),
    rope_dims: rope.dims,
  };
}
