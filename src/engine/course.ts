import { argmax } from "./sampler.ts";
import type { Session } from "./session.ts";

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
