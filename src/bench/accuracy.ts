import { follow, greedyCourse, type Course } from "../measure/course.ts";
import type { Nearness } from "../measure/divergence.ts";
import type { Engine } from "../engine/engine.ts";

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
      for (const { kl, same } of await followed(engine, prompt, truth)) {
        total.kl += kl;
        total.same += Number(same);
      }
      const course = await greedy(engine, prompt, steps);
      const first = course.tokens.findIndex((token, at) => token !== truth.tokens[at]);
      total.greedy += first < 0 ? course.tokens.length : first;
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

async function followed(engine: Engine, prompt: Int32Array, truth: Course): Promise<Nearness[]> {
  using session = engine.createSession({ method: "full" });
  await session.prefill(prompt);
  return await follow(session, truth);
}
