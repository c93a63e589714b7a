import { Device } from "../ggml/device.ts";
import type { InputGraph } from "../ggml/input-graph.ts";
import type { KernelVariant } from "../ggml/kernels/library.ts";
import {
  writeTensor,
  type Tensor,
  type TensorBuffer,
  type TensorSpec,
} from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import { attention } from "../models/blocks/attention.ts";
import { linear } from "../models/blocks/linear.ts";
import { causalMask } from "../models/blocks/masks.ts";

/** A speed of one operation alone. */
export interface Speed {
  readonly ms: number;
  /** 10⁹ multiply-adds count twice. */
  readonly gflops: number;
  /** 10⁹ bytes of weights read a second. */
  readonly gigabytes: number;
}

export interface AttentionSize {
  readonly headDim: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly nQueries: number;
  readonly nKv: number;
}

export interface LinearSize {
  /** The type of the weights, by name. */
  readonly type: keyof typeof TYPES;
  /** Weights are [k, m]. */
  readonly k: number;
  readonly m: number;
  /** Columns. */
  readonly n: number;
}

const ROPE = { mode: 0, dims: 2 };

/** Times operations alone, on random values: the best of the repetitions, after one to warm up. */
export class SingleOperations implements Disposable {
  readonly #device: Device;

  /** @param kernels our own, or ggml's operations where none are given */
  constructor(threads: number, kernels?: KernelVariant) {
    this.#device = new Device({ threads, kernels });
  }

  /** What the device calls itself. */
  get description(): string {
    return this.#device.description;
  }

  /** Causal attention of the last `nQueries` over `nKv` f16 keys. */
  async attention(s: AttentionSize, repetitions: number): Promise<Speed> {
    using buffer = this.#filled([
      { type: TYPES.f32, shape: [s.headDim, s.nHead, s.nQueries] },
      { type: TYPES.f16, shape: [s.headDim, s.nKv, s.nHeadKv] },
      { type: TYPES.f16, shape: [s.headDim, s.nKv, s.nHeadKv] },
      { type: TYPES.f16, shape: [s.nKv, s.nQueries] },
    ]);
    const [q, k, v, mask] = buffer.tensors as [Tensor, Tensor, Tensor, Tensor];
    const past = s.nKv - s.nQueries;
    writeTensor(mask, causalMask(past, s.nQueries));
    const group = { firstHead: 0, nHeadKv: s.nHeadKv, k, v, mask: () => mask };
    const heads = { ...s, n: s.nQueries, scale: 1 / Math.sqrt(s.headDim), rope: ROPE };
    const shape = { ...heads, operations: this.#device.operationsFor(heads) };
    const ms = await this.#fastest(repetitions, (g) => attention(g, q, [group], shape));
    const pairs = s.nQueries * past + (s.nQueries * (s.nQueries + 1)) / 2;
    return { ms, gflops: (4 * pairs * s.nHead * s.headDim) / ms / 1e6, gigabytes: 0 };
  }

  /** Milliseconds of scoring one layer's keys by its last queries, as prompts are scored. */
  async windowScoreMs(s: AttentionSize, repetitions: number): Promise<number> {
    using buffer = this.#filled([
      { type: TYPES.f32, shape: [s.headDim, s.nQueries, s.nHead] },
      { type: TYPES.f16, shape: [s.headDim, s.nKv, s.nHeadKv] },
    ]);
    const [q, k] = buffer.tensors as [Tensor, Tensor];
    const operations = this.#device.operationsFor({ ...s, rope: ROPE });
    const node = { q, k, scale: 1 / Math.sqrt(s.headDim) };
    return await this.#fastest(repetitions, (g) => operations.scores(g, node));
  }

  /** Weights times columns. */
  async linear({ type: name, k, m, n }: LinearSize, repetitions: number): Promise<Speed> {
    const type = TYPES[name];
    using buffer = this.#filled([
      { type, shape: [k, m] },
      { type: TYPES.f32, shape: [k, n] },
    ]);
    const [weight, x] = buffer.tensors as [Tensor, Tensor];
    const { operations } = this.#device;
    const ms = await this.#fastest(repetitions, (g) => linear(g, { weight, operations }, x));
    return {
      ms,
      gflops: (2 * k * m * n) / ms / 1e6,
      gigabytes: (rowBytes(type, k) * m) / ms / 1e6,
    };
  }

  /** Random values between 0.1 and 1 in size, of either sign; quantized weights are all alike. */
  #filled(specs: TensorSpec[]): TensorBuffer {
    const buffer = this.#device.allocate(specs);
    let state = 1;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const half = () => (random() < 0.5 ? 0x8000 : 0) + 0x2e00 + Math.floor(random() * 0xe00);
    specs.forEach(({ type }, i) => {
      const bytes = buffer.view(i);
      const { buffer: memory, byteOffset: at, byteLength: n } = bytes;
      if (type === TYPES.f32) fillWith(new Float32Array(memory, at, n / 4), () => 2 * random() - 1);
      else if (type === TYPES.f16) fillWith(new Uint16Array(memory, at, n / 2), half);
      else bytes.fill(0x1b);
    });
    return buffer;
  }

  async #fastest(repetitions: number, build: (g: InputGraph) => Tensor): Promise<number> {
    let best = Infinity;
    for (let i = 0; i <= repetitions; i++) {
      await this.#device.run((g) => {
        g.output(build(g));
        return () => undefined;
      });
      best = i === 0 ? best : Math.min(best, this.#device.lastComputeMs);
    }
    return best;
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
  }
}

function fillWith(array: Float32Array | Uint16Array, value: () => number): void {
  for (let i = 0; i < array.length; i++) array[i] = value();
}
