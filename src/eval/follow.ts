import type { Course } from "../engine/course.ts";
import { klDivergence } from "../engine/divergence.ts";
import { argmax } from "../engine/sampler.ts";
import type { Session } from "../engine/session.ts";

/** How near a session stays to another one's course, at each of its steps. */
export interface Nearness {
  /** KL divergence from the course's next-token probabilities, in nats. */
  readonly kl: readonly number[];
  /** Whether both have the same favourite. */
  readonly same: readonly boolean[];
}

/** Lets a session take a course's tokens. */
export async function follow(session: Session, course: Course): Promise<Nearness> {
  const kl: number[] = [];
  const same: boolean[] = [];
  for (const [i, expected] of course.logits.entries()) {
    if (i > 0) await session.decode(course.tokens[i - 1] as number);
    kl.push(klDivergence(expected, session.logits));
    same.push(argmax(expected) === argmax(session.logits));
  }
  return { kl, same };
}
