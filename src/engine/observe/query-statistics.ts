import type { Device } from "../../ggml/device.ts";
import type { Graph } from "../../ggml/graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { readTensor, zeroTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { HyperParameters } from "../../models/hyper-parameters.ts";
import type { Chunk } from "./layer-observer.ts";

/** The first tokens, whose queries are unlike all others (kvpress's `n_sink`). */
const SINKS = 4;

/** Sums of a layer's queries and of their products, chunk by chunk: from them come mean and covariance. */
export class QuerySums extends NativeOwner {
  readonly #buffer: TensorBuffer;
  #n = 0;

  constructor(
    device: Device,
    private readonly hp: Pick<HyperParameters, "headDim" | "nHead">,
  ) {
    super();
    const { headDim, nHead } = hp;
    this.#buffer = device.allocate([
      { type: TYPES.f32, shape: [1, headDim, nHead] },
      { type: TYPES.f32, shape: [headDim, headDim, nHead] },
    ]);
  }

  reset(): void {
    this.assertAlive();
    const { headDim, nHead } = this.hp;
    this.#n = 0;
    zeroTensor(this.#buffer.tensors[0] as Tensor, 0, headDim * nHead * 4);
    zeroTensor(this.#buffer.tensors[1] as Tensor, 0, headDim * headDim * nHead * 4);
  }

  /** Adds a chunk's queries before rotation, f32 [headDim, nHead, n]; those of the prompt's sinks are left out. */
  add(g: Graph, q: Tensor, chunk: Pick<Chunk, "row" | "n">): void {
    const skip = Math.min(chunk.n, Math.max(0, SINKS - chunk.row));
    const n = chunk.n - skip;
    if (n === 0) return;
    this.#n += n;
    const byDimension = g.contiguous(g.permute(g.skipColumns(q, skip), 1, 2, 0, 3)); // [n, headDim, nHead]
    const [sums, products] = this.#buffer.tensors as [Tensor, Tensor];
    g.expand(g.copy(g.add(sums, g.sumRows(byDimension)), sums));
    g.expand(g.copy(g.add(products, g.mulMat(byDimension, byDimension)), products));
  }

  /** Mean [headDim, nHead] and covariance [headDim, headDim, nHead]. */
  read(): { mean: Float32Array; covariance: Float32Array } {
    this.assertAlive();
    const { headDim, nHead } = this.hp;
    const n = Math.max(1, this.#n);
    const [sums, products] = this.#buffer.tensors as [Tensor, Tensor];
    const mean = readTensor(sums, new Float32Array(headDim * nHead)).map((x) => x / n);
    const covariance = readTensor(products, new Float32Array(headDim * headDim * nHead));
    for (let at = 0; at < covariance.length; at++) {
      const head = Math.floor(at / (headDim * headDim));
      const [row, column] = [Math.floor(at / headDim) % headDim, at % headDim];
      const product =
        (mean[head * headDim + row] as number) * (mean[head * headDim + column] as number);
      covariance[at] = (covariance[at] as number) / n - product;
    }
    return { mean, covariance };
  }

  protected release(): void {
    this.#buffer[Symbol.dispose]();
  }
}
