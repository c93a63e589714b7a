import pLimit from "p-limit";
import { PyramidKVError } from "../errors.ts";
import { GraphAllocator, type Backend } from "./backend.ts";
import { Graph } from "./graph.ts";
import type { Kernels } from "./kernels/kernels.ts";
import { NativeOwner } from "./owner.ts";
import {
  hasMemory,
  writeTensor,
  zeroTensor,
  type Tensor,
  type TensorSpec,
} from "./tensor-buffer.ts";
import { rowBytes, TYPES, type TensorType } from "./types.ts";

/** A graph whose inputs come with their data. */
export class InputGraph extends Graph {
  readonly #uploads: (() => void)[] = [];

  /** An input tensor holding `data`, written once the graph has its memory, if anything there uses it. */
  constant(type: TensorType, shape: TensorSpec["shape"], data: ArrayBufferView): Tensor {
    const [width = 1, ...rest] = shape;
    const bytes = rest.reduce((a, b) => a * b, rowBytes(type, width));
    if (data.byteLength !== bytes) {
      // ggml would end the process.
      throw new PyramidKVError("NATIVE", `${data.byteLength} bytes for a constant of ${bytes}`);
    }
    const tensor = this.input({ type, shape });
    this.#uploads.push(() => {
      if (hasMemory(tensor)) writeTensor(tensor, data);
    });
    return tensor;
  }

  /** A tensor that holds zeros when the graph starts, f32. */
  zeros(shape: TensorSpec["shape"]): Tensor {
    const tensor = this.input({ type: TYPES.f32, shape });
    const bytes = shape.reduce((a, b) => a * b, 4);
    this.#uploads.push(() => zeroTensor(tensor, 0, bytes));
    return tensor;
  }

  /** @internal */
  upload(): void {
    for (const upload of this.#uploads) upload();
  }
}

/**
 * Runs graphs one after the other, whoever asks: one backend computes one graph at a time, and all
 * one-off graphs share one buffer for their intermediate tensors.
 */
export class Executor extends NativeOwner {
  readonly backend: Backend;
  /** Our own operations, where they are used. */
  readonly kernels: Kernels | undefined;
  readonly #allocator: GraphAllocator;
  readonly #queue = pLimit(1);
  #lastComputeMs = 0;

  /** Takes over `kernels`. */
  constructor(backend: Backend, kernels?: Kernels) {
    super();
    this.backend = backend;
    this.kernels = kernels;
    this.#allocator = new GraphAllocator(backend);
  }

  /**
   * Builds a graph, computes it and frees it. `build` returns what reads the results, which runs
   * while they are still there.
   */
  run<T>(build: (g: InputGraph) => () => T, maxNodes?: number): Promise<T> {
    return this.#queue(async () => {
      this.assertAlive();
      using graph = new InputGraph(maxNodes, this.kernels);
      const read = build(graph);
      this.kernels?.workspace.prepare(graph.workspaceBytes);
      this.#allocator.allocate(graph);
      graph.upload();
      const started = performance.now();
      await this.backend.compute(graph);
      this.#lastComputeMs = performance.now() - started;
      return read();
    });
  }

  /**
   * Computes a graph that has its own memory.
   *
   * @param prepare writes its inputs once nothing else runs, and says what it needs of the workspace besides
   * @returns milliseconds inside ggml
   */
  compute(graph: Graph, prepare: () => number = () => 0): Promise<number> {
    return this.#queue(async () => {
      this.assertAlive();
      const bytes = prepare();
      this.kernels?.workspace.prepare(Math.max(graph.workspaceBytes, bytes));
      const started = performance.now();
      await this.backend.compute(graph);
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

  protected release(): void {
    if (this.#queue.activeCount > 0) {
      throw new PyramidKVError("BUSY", "the executor was disposed while a graph was running");
    }
    this.#allocator[Symbol.dispose]();
    this.kernels?.[Symbol.dispose]();
  }
}
