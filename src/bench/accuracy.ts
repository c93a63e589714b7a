import { greedyCourse, type Course } from "../engine/course.ts";
import { klDivergence } from "../engine/divergence.ts";
import type { Engine } from "../engine/engine.ts";
import { argmax } from "../engine/sampler.ts";

export interface Accuracy {
  /** Mean KL divergence to the reference, in nats, over the positions looked at. */
  readonly meanKl: number;
  /** Share of those positions where the most likely token is the reference's. */
  readonly sameTop: number;
  /** Greedy tokens until the first that is not the reference's, mean over the prompts. */
  readonly greedyEqual: number;
}

/** The texts that probabilities are compared on. */
export interface AccuracyOptions {
  readonly prompts: readonly Int32Array[];
  /** Positions after each prompt, teacher-forced with the reference's own greedy tokens. */
  readonly steps: number;
  readonly onStep?: () => void;
}

/** How far each engine's next-token probabilities are from the reference's, full cache. */
export async function compareAccuracy(
  reference: Engine,
  candidates: readonly Engine[],
  { prompts, steps, onStep }: AccuracyOptions,
): Promise<Accuracy[]> {
  const totals = candidates.map(() => ({ kl: 0, same: 0, greedy: 0 }));
  for (const prompt of prompts) {
    const truth = await greedy(reference, prompt, steps);
    onStep?.();
    for (const [i, engine] of candidates.entries()) {
      const total = totals[i] as (typeof totals)[number];
      const forced = await follow(engine, prompt, truth.tokens);
      forced.forEach((logits, at) => {
        const expected = truth.logits[at] as Float32Array;
        total.kl += klDivergence(expected, logits);
        total.same += Number(argmax(expected) === argmax(logits));
      });
      const own = await greedy(engine, prompt, steps);
      const first = own.tokens.findIndex((token, at) => token !== truth.tokens[at]);
      total.greedy += first < 0 ? own.tokens.length : first;
      onStep?.();
    }
  }
  const positions = prompts.length * (steps + 1);
  return totals.map(({ kl, same, greedy }) => ({
    meanKl: kl / positions,
    sameTop: same / positions,
    greedyEqual: greedy / prompts.length,
  }));
}

async function greedy(engine: Engine, prompt: Int32Array, steps: number): Promise<Course> {
  using session = engine.createSession({ method: "full" });
  await session.prefill(prompt);
  return await greedyCourse(session, steps);
}

async function follow(
  engine: Engine,
  prompt: Int32Array,
  tokens: readonly number[],
): Promise<Float32Array[]> {
  using session = engine.createSession({ method: "full" });
  await session.prefill(prompt);
  const logits = [session.logits.slice()];
  for (const token of tokens) {
    await session.decode(token);
    logits.push(session.logits.slice());
  }
  return logits;
}
