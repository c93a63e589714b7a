import { argmax } from "../engine/sampler.ts";
import type { Session } from "../engine/session.ts";
import { nearness, type Nearness } from "./divergence.ts";

/** The most likely tokens one after the other, and the logits before each and after the last. */
export interface Course {
  readonly tokens: number[];
  readonly logits: Float32Array[];
}

/** Lets a session take its own most likely tokens, from the logits at hand. */
export async function greedyCourse(session: Session, steps: number): Promise<Course> {
  const course: Course = { tokens: [], logits: [session.logits.slice()] };
  while (course.tokens.length < steps) {
    const token = argmax(session.logits);
    course.tokens.push(token);
    await session.decode(token);
    course.logits.push(session.logits.slice());
  }
  return course;
}

/** Lets a session take a course's tokens; how near it stays to the course before each and after the last. */
export async function follow(session: Session, course: Course): Promise<Nearness[]> {
  const steps: Nearness[] = [];
  for (const [i, expected] of course.logits.entries()) {
    if (i > 0) await session.decode(course.tokens[i - 1] as number);
    steps.push(nearness(expected, session.logits));
  }
  return steps;
}
