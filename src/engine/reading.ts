import type { Executor } from "../ggml/executor.ts";
import { NativeOwner } from "../ggml/owner.ts";
import type { Model } from "../models/model.ts";
import { chunksOf, probeChunks, type Chunk } from "./chunks.ts";
import { Observation, type PromptLengths } from "./observation.ts";
import type { PrefillTarget } from "./prefill-target.ts";
import { Rotation } from "./rotation.ts";

export interface ReadingInput {
  readonly model: Model;
  readonly executor: Executor;
  readonly targets: readonly PrefillTarget[];
  readonly chunkTokens: number;
  /** Rows of the scratch before the new tokens. */
  readonly pastRows: number;
  /** True positions of the prompt's tokens that are read, ascending. */
  readonly positions: Int32Array;
  /** Position of the probe's first token. */
  readonly nextPosition: number;
  readonly probe: readonly Int32Array[];
}

/** How a stretch of layers is read: which tokens, in which chunks, rotated where, and what of them is observed. */
export class Reading extends NativeOwner {
  readonly lengths: PromptLengths;
  readonly chunks: readonly Chunk[];
  readonly positions: Int32Array;

  private constructor(
    input: ReadingInput,
    readonly rotation: Rotation,
    readonly observation: Observation,
  ) {
    super();
    this.positions = input.positions;
    this.lengths = lengthsOf(input);
    this.chunks = [
      ...chunksOf(input.positions.length, input.chunkTokens),
      ...probeChunks(input.probe, input.positions.length),
    ];
  }

  static async create(input: ReadingInput): Promise<Reading> {
    const { executor, model, targets, positions, nextPosition, pastRows, chunkTokens } = input;
    const lengths = lengthsOf(input);
    const rows = Int32Array.from({ length: lengths.prompt + lengths.probe }, (_, row) =>
      row < lengths.prompt ? (positions[row] as number) : nextPosition + row - lengths.prompt,
    );
    const rotation = await Rotation.create(executor, model, rows);
    try {
      const observed = { rows: pastRows + rows.length, lengths, chunkTokens };
      return new Reading(input, rotation, new Observation(executor, model.hp, targets, observed));
    } catch (error) {
      rotation[Symbol.dispose]();
      throw error;
    }
  }

  /** Tokens that are read. */
  get n(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.n, 0);
  }

  /** Rows of the scratch that are used. */
  get rows(): number {
    return this.observation.rows;
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
