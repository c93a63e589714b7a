import pLimit from "p-limit";
import { PyramidKVError } from "../errors.ts";
import { Backend, GraphAllocator } from "./backend.ts";
import type { Pointer } from "./ffi.ts";
import { Graph } from "./graph.ts";
import { InputGraph } from "./input-graph.ts";
import { Kernels } from "./kernels/kernels.ts";
import type { KernelVariant } from "./kernels/library.ts";
import { native } from "./native.ts";
import { ggmlOperations } from "./operations/ggml.ts";
import type { HeadsShape } from "./operations/nodes.ts";
import type { Operations } from "./operations/operations.ts";
import { ownOperations } from "./operations/own.ts";
import { NativeOwner } from "./owner.ts";
import { TensorBuffer, type BufferType, type TensorSpec } from "./tensor-buffer.ts";

export interface DeviceOptions {
  readonly threads: number;
  /** Our own kernels, where they are used beside ggml's operations. */
  readonly kernels?: KernelVariant | undefined;
}

/** Memory for weights: the device's own, or such as repacks them for faster matmuls. */
export interface WeightMemory {
  /** Whether weights lie there as the file has them, so that rows can be looked up. */
  readonly isPlain: boolean;
  /** Whether the host reads and writes it through pointers: a file may be mapped instead. */
  readonly isHost: boolean;
  allocate(specs: readonly TensorSpec[]): TensorBuffer;
}

/** A graph with memory of its own, which is computed again and again. */
export interface LastingGraph<T = unknown> extends Disposable {
  readonly graph: Graph;
  /** What building it gave: its inputs and results. */
  readonly parts: T;
}

/**
 * What computes: memory, threads and operations, which are ggml's or ours. Graphs run one after the other, whoever asks,
 * and all one-off graphs share one buffer for their intermediate tensors.
 */
export class Device extends NativeOwner {
  readonly #backend: Backend;
  readonly #kernels: Kernels | undefined;
  /** What multiplies weights; heads may have others. */
  readonly operations: Operations;
  readonly #allocator: GraphAllocator;
  readonly #memories = new Map<BufferType, WeightMemory>();
  readonly #queue = pLimit(1);
  #lastComputeMs = 0;

  constructor({ threads, kernels }: DeviceOptions) {
    super();
    this.#backend = new Backend(threads);
    this.#kernels = kernels && new Kernels(kernels, threads, this.#backend.bufferType);
    this.operations = this.#kernels === undefined ? ggmlOperations : ownOperations(this.#kernels);
    this.#allocator = new GraphAllocator(this.#backend);
  }

  /** What it calls itself. */
  get description(): string {
    return this.#backend.description;
  }

  /** Whether operations of ours are used beside ggml's. */
  get hasKernels(): boolean {
    return this.#kernels !== undefined;
  }

  /** What heads of this shape are computed with. Asked once a layer, when a model is loaded. */
  operationsFor(shape: HeadsShape): Operations {
    return this.#kernels?.attends(shape) === true ? this.operations : ggmlOperations;
  }

  /** Bytes that our kernels pack weights, keys and values into. */
  get workspaceBytes(): number {
    return this.#kernels?.workspace.bytes ?? 0;
  }

  /** Several tensors in memory of their own, freed together. */
  allocate(specs: readonly TensorSpec[]): TensorBuffer {
    return new TensorBuffer(this.#backend.bufferType, specs);
  }

  /** Plain memory, as a file has its weights. */
  get plainMemory(): WeightMemory {
    return this.#memory(this.#backend.bufferType);
  }

  /** Where a weight is read fastest; undefined where it is a matrix of a type that nothing multiplies. */
  weightMemory(spec: TensorSpec): WeightMemory | undefined {
    const backend = this.#backend;
    const { shape, type } = spec;
    const isMatrix = shape.length > 1;
    if (!isMatrix) return this.plainMemory;
    if (!backend.supportsMulMat(spec, backend.bufferType)) return undefined;
    const isRead = shape.length === 2 && this.#kernels?.readsWeights(type, shape[0] ?? 0) === true;
    const mayRepack = !isRead || this.#kernels?.prefersRepacked === true;
    const extra = mayRepack
      ? backend.extraBufferTypes.find((bufferType) => backend.supportsMulMat(spec, bufferType))
      : undefined;
    return this.#memory(extra ?? backend.bufferType);
  }

  #memory(bufferType: BufferType): WeightMemory {
    const memory = this.#memories.get(bufferType) ?? {
      isPlain: bufferType === this.#backend.bufferType,
      isHost: native().ggml.bufferTypeIsHost(bufferType),
      allocate: (specs) => new TensorBuffer(bufferType, specs),
    };
    this.#memories.set(bufferType, memory);
    return memory;
  }

  /**
   * Builds a graph, computes it and frees it. `build` returns what reads the results, which runs
   * while they are still there.
   */
  run<T>(build: (g: InputGraph) => () => T, maxNodes?: number): Promise<T> {
    return this.#queue(async () => {
      this.assertAlive();
      using graph = new InputGraph(maxNodes);
      const read = build(graph);
      this.#kernels?.workspace.prepare(graph.workspaceBytes);
      this.#allocator.allocate(graph);
      graph.upload();
      const started = performance.now();
      await this.#backend.compute(graph);
      this.#lastComputeMs = performance.now() - started;
      return read();
    });
  }

  /**
   * A graph that is computed again and again, with memory of its own.
   *
   * @param columns of a decode step: where it says, i32 [1], how many of its columns are there
   */
  lasting<T>(build: (g: Graph) => T, maxNodes: number, columns?: Pointer): LastingGraph<T> {
    this.assertAlive();
    const graph = new Graph(maxNodes, columns);
    const allocator = new GraphAllocator(this.#backend);
    const free = () => {
      allocator[Symbol.dispose]();
      graph[Symbol.dispose]();
    };
    try {
      const parts = build(graph);
      allocator.allocate(graph);
      return { graph, parts, [Symbol.dispose]: free };
    } catch (error) {
      free();
      throw error;
    }
  }

  /**
   * Computes a graph that has its own memory.
   *
   * @param prepare writes its inputs once nothing else runs, and says what it needs of the workspace besides
   * @returns milliseconds that it took
   */
  compute({ graph }: LastingGraph, prepare: () => number = () => 0): Promise<number> {
    return this.#queue(async () => {
      this.assertAlive();
      const bytes = prepare();
      this.#kernels?.workspace.prepare(Math.max(graph.workspaceBytes, bytes));
      const started = performance.now();
      await this.#backend.compute(graph);
      return performance.now() - started;
    });
  }

  /** Milliseconds that the last graph of `run` took, from the call to its return. */
  get lastComputeMs(): number {
    return this.#lastComputeMs;
  }

  /** Resolves when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    await this.#queue(() => undefined);
  }

  /** @throws `BUSY` while a graph runs; it can be disposed afterwards */
  override [Symbol.dispose](): void {
    if (!this.disposed && this.#queue.activeCount > 0) {
      throw new PyramidKVError("BUSY", "the device was disposed while a graph was running");
    }
    super[Symbol.dispose]();
  }

  protected release(): void {
    this.#allocator[Symbol.dispose]();
    this.#kernels?.[Symbol.dispose]();
    this.#backend[Symbol.dispose]();
  }
}
