import type { Device } from "../../ggml/device.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { Model } from "../../models/model.ts";
import type { ReadTokens } from "../cut/compressor.ts";
import type { Chunk } from "../observe/layer-observer.ts";
import { Observation } from "../observe/observation.ts";
import type { PrefillTarget, PromptLengths } from "../observe/target.ts";
import { carriedTokens, carryingOf, type Carrying } from "./carry.ts";
import { chunksOf, probeChunks } from "./chunks.ts";
import { Rotation } from "./rotation.ts";

export interface ReadingInput {
  readonly model: Model;
  /** Reads the layers to come. */
  readonly device: Device;
  readonly targets: readonly PrefillTarget[];
  readonly chunkTokens: number;
  /** Rows of the scratch before the new tokens. */
  readonly past: number;
  /** True positions of the prompt's tokens that are read, ascending. */
  readonly positions: Int32Array;
  /** Position of the probe's first token. */
  readonly nextPosition: number;
  readonly probe: readonly Int32Array[];
}

/** How a stretch of layers is read: which tokens, in which chunks, rotated where, and what of them is observed. */
export class Reading extends NativeOwner implements ReadTokens {
  readonly chunks: readonly Chunk[];

  private constructor(
    private readonly input: ReadingInput,
    readonly lengths: PromptLengths,
    readonly rotation: Rotation,
    readonly observation: Observation,
    private readonly carrying: Carrying | undefined,
  ) {
    super();
    this.chunks = [
      ...chunksOf(this.positions.length, input.chunkTokens),
      ...probeChunks(input.probe, this.positions.length),
    ];
  }

  /** The reading of a whole prompt. */
  static create(input: ReadingInput): Promise<Reading> {
    return Reading.#create(input, carryingOf(input.targets, input.model.hp));
  }

  static async #create(input: ReadingInput, carrying: Carrying | undefined): Promise<Reading> {
    const { device, model, targets, positions, nextPosition, past, chunkTokens } = input;
    const lengths = lengthsOf(input);
    const rows = Int32Array.from({ length: lengths.prompt + lengths.probe }, (_, row) =>
      row < lengths.prompt ? (positions[row] as number) : nextPosition + row - lengths.prompt,
    );
    const rotation = await Rotation.create(device, model, rows);
    try {
      const size = { rows: past + rows.length, lengths, chunkTokens };
      const observation = new Observation(device, model, targets, size);
      return new Reading(input, lengths, rotation, observation, carrying);
    } catch (error) {
      rotation[Symbol.dispose]();
      throw error;
    }
  }

  get positions(): Int32Array {
    return this.input.positions;
  }

  /** Tokens that are read. */
  get n(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.n, 0);
  }

  /** Rows of the scratch that new tokens take. */
  get rows(): number {
    return this.lengths.prompt + this.lengths.probe;
  }

  /**
   * How the layer after `il` is read: as this one, unless only some tokens are carried on. Then their rows of
   * `x` f32 [nEmbd, n], the hidden states, move to its first ones, and this reading is disposed.
   */
  async after(il: number, x: Tensor): Promise<Reading> {
    const { carrying, input } = this;
    if (carrying === undefined || il + 1 !== carrying.from) return this;
    const carried = carriedTokens(carrying, this.observation, this.lengths);
    await this.#moveRows(x, carried);
    const positions = carried.map((i) => this.positions[i] as number);
    this[Symbol.dispose]();
    return Reading.#create({ ...input, positions }, undefined);
  }

  /** The same on another device; this reading is disposed. */
  async on(device: Device): Promise<Reading> {
    const moved = await Reading.#create({ ...this.input, device }, this.carrying);
    this[Symbol.dispose]();
    return moved;
  }

  /** Moves some rows of `x`, which ascend, to its first ones. */
  #moveRows(x: Tensor, rows: Int32Array): Promise<void> {
    const { device, model } = this.input;
    const { nEmbd } = model.hp;
    return device.run((g) => {
      const from = g.constant(TYPES.i32, [rows.length], rows);
      const chosen = g.getRows(g.rows(x, TYPES.f32, nEmbd, 0, this.lengths.prompt), from);
      g.expand(g.copy(chosen, g.rows(x, TYPES.f32, nEmbd, 0, rows.length)));
      return () => undefined;
    });
  }

  protected release(): void {
    this.observation[Symbol.dispose]();
    this.rotation[Symbol.dispose]();
  }
}

function lengthsOf({ positions, probe }: ReadingInput): PromptLengths {
  return {
    prompt: positions.length,
    probe: Math.max(0, ...probe.map((piece) => piece.length)),
    lastPiece: probe.at(-1)?.length ?? 0,
  };
}
