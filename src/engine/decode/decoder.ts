import pLimit from "p-limit";
import { NativeOwner } from "../../ggml/owner.ts";
import type { Model } from "../../models/model.ts";
import { noteAppended, type DecodeStep, type Sequence } from "./sequence.ts";
import { StageDecoder } from "./stage-decoder.ts";

/** Sequences that may decode together. */
export const LARGEST_BATCH = 128;

/** A sequence as it decodes. */
export interface Decoding {
  readonly sequence: Sequence;
  /** Checks a token and makes room for it. */
  beginStep(token: number): Promise<DecodeStep>;
  /** Goes on behind a token that was appended. */
  stepped(): void;
  /** Compresses again where it is time. */
  endStep(started: number, computeMs: number): Promise<void>;
}

/** Decodes sequences, one or many at a time, through one device after the other. */
export class Decoder extends NativeOwner {
  readonly #stages: readonly StageDecoder[];
  /** One step at a time: it is written into a graph that others use, too. */
  readonly #queue = pLimit(1);

  constructor(private readonly model: Model) {
    super();
    this.#stages = model.stages.map((stage) => new StageDecoder(model, stage));
  }

  /** Graphs built so far. */
  get built(): number {
    return this.#stages.reduce((sum, { built }) => sum + built, 0);
  }

  /** One step of all of them, a token each; nobody else uses them meanwhile. */
  async step(members: readonly Decoding[], tokens: readonly number[]): Promise<void> {
    const { started, computeMs } = await this.#queue(async () => {
      this.assertAlive();
      const started = performance.now();
      const steps: DecodeStep[] = [];
      for (const [i, member] of members.entries()) {
        steps.push(await member.beginStep(tokens[i] as number));
      }
      const computeMs = await this.#compute(steps);
      // All have their token, whatever happens to one of them from here on.
      steps.forEach(noteAppended);
      for (const member of members) member.stepped();
      return { started, computeMs };
    });
    // Others may decode while these are compressed again.
    for (const member of members) await member.endStep(started, computeMs);
  }

  /** @returns milliseconds spent inside ggml */
  async #compute(steps: readonly DecodeStep[]): Promise<number> {
    const { nEmbd } = this.model.hp;
    for (const stage of this.#stages) stage.prepare(steps);
    let computeMs = 0;
    let input: Float32Array | undefined;
    for (const [i, stage] of this.#stages.entries()) {
      const isLast = i === this.#stages.length - 1;
      const hidden = isLast ? undefined : new Float32Array(nEmbd * steps.length);
      const outputs = steps.map(
        ({ logits }, c) => hidden?.subarray(c * nEmbd, (c + 1) * nEmbd) ?? logits,
      );
      computeMs += await stage.step(steps, { input, outputs });
      input = hidden;
    }
    return computeMs;
  }

  /** Frees the graphs that only this sequence used. */
  forget(sequence: Sequence): void {
    for (const stage of this.#stages) stage.forget(sequence);
  }

  protected release(): void {
    for (const stage of this.#stages) stage[Symbol.dispose]();
  }
}
