import type { Device } from "../../ggml/device.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { HyperParameters } from "../../models/hyper-parameters.ts";
import { captureRows } from "./captured-rows.ts";
import type { Attended, Chunk } from "./layer-observer.ts";

/** Samples that are the prompt's last tokens. */
export const NEWEST_SAMPLES = 64;
const SPREAD = 48;

/** Queries spread over the prompt, and its last 64: their tokens' indices, ascending. */
export function sampledTokens(nPrompt: number): Int32Array {
  const newest = Math.min(NEWEST_SAMPLES, nPrompt);
  const before = nPrompt - newest;
  const spread = Math.min(SPREAD, before);
  return Int32Array.from({ length: spread + newest }, (_, i) =>
    i < spread ? Math.floor(((i + 0.5) * before) / spread) : before + i - spread,
  );
}

/** What sampled tokens ask, are answered and are, in the layer at hand. */
export class Samples extends NativeOwner {
  readonly tokens: Int32Array;
  readonly #buffer: TensorBuffer;
  readonly #width: number;
  #isGated = false;

  constructor(
    device: Device,
    private readonly hp: Pick<HyperParameters, "headDim" | "nHead" | "nEmbd">,
    nPrompt: number,
  ) {
    super();
    this.tokens = sampledTokens(nPrompt);
    this.#width = hp.headDim * hp.nHead;
    const rows = (width: number) => ({ type: TYPES.f32, shape: [width, this.tokens.length] });
    const specs = [rows(this.#width), rows(this.#width), rows(hp.nEmbd), rows(this.#width)];
    this.#buffer = device.allocate(specs);
  }

  /** Adds copies of a chunk's sampled rows: queries, attention's results, the layer's input, and what multiplies the results. */
  capture(g: InputGraph, { q, attended, input, gate }: Attended, chunk: Chunk): void {
    const flat = (t: Tensor) => g.reshape(g.contiguous(t), this.#width, chunk.n);
    const factors = gate === undefined ? [] : [g.sigmoid(flat(gate))];
    this.#isGated = gate !== undefined;
    const copies = [flat(q), attended, input, ...factors].map((from, i) => {
      return { from, into: this.#buffer.tensors[i] as Tensor };
    });
    captureRows(g, this.tokens, chunk, copies);
  }

  /** Queries, attention's results and their factors, if any, f32 [headDim · nHead, samples], inputs [nEmbd, samples]. */
  read(): {
    queries: Float32Array;
    outputs: Float32Array;
    inputs: Float32Array;
    factors: Float32Array | undefined;
  } {
    this.assertAlive();
    const read = (i: number, width: number) =>
      readTensor(this.#buffer.tensors[i] as Tensor, new Float32Array(width * this.tokens.length));
    return {
      queries: read(0, this.#width),
      outputs: read(1, this.#width),
      inputs: read(2, this.hp.nEmbd),
      factors: this.#isGated ? read(3, this.#width) : undefined,
    };
  }

  protected release(): void {
    this.#buffer[Symbol.dispose]();
  }
}
