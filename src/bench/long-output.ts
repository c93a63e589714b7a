import { quarters } from "../mean.ts";
import { nearness } from "../measure/divergence.ts";
import type { Engine } from "../engine/engine.ts";
import { argmax } from "../engine/sampler.ts";
import { atLeast, atMost, type TargetRow } from "./targets.ts";

export interface LongOutputOptions {
  readonly engine: Engine;
  readonly prompt: Int32Array;
  /** Tokens to decode: the full cache's own greedy answer, forced on every method. */
  readonly tokens: number;
  readonly methods: readonly string[];
  readonly kvSize: number;
  readonly onStep?: (done: number, total: number) => void;
}

export interface LongOutput {
  readonly method: string;
  /** Tokens per second over the first and the last eighth. */
  readonly speedAtStart: number;
  readonly speedAtEnd: number;
  /** The least and the most bytes held, once the cache has reached its size. */
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Mean KL to the full cache, in nats, and share of equal favourites, over each quarter of the output. */
  readonly kl: readonly number[];
  readonly top1: readonly number[];
}

/** A long answer beside the full cache, token by token: does the cache keep its size, the speed, the distribution? */
export async function longOutput(o: LongOutputOptions): Promise<LongOutput[]> {
  const { engine, tokens, kvSize } = o;
  const names = ["full", ...o.methods];
  const sessions = names.map((method) => engine.createSession({ method, kvSize }));
  const courses = names.map(() => ({
    ms: new Float64Array(tokens),
    bytes: new Float64Array(tokens),
    kl: new Float64Array(tokens),
    same: new Float64Array(tokens),
  }));
  try {
    await engine.prefillTogether(sessions, o.prompt);
    const [full] = sessions as [(typeof sessions)[number]];
    for (let i = 0; i < tokens; i++) {
      const token = argmax(full.logits);
      for (const [s, session] of sessions.entries()) {
        const course = courses[s] as (typeof courses)[number];
        const started = performance.now();
        await session.decode(token);
        course.ms[i] = performance.now() - started;
        course.bytes[i] = session.cache.bytes;
        const { kl, same } = nearness(full.logits, session.logits);
        course.kl[i] = kl;
        course.same[i] = Number(same);
      }
      o.onStep?.(i + 1, tokens);
    }
  } finally {
    for (const session of sessions) session[Symbol.dispose]();
  }
  const eighth = Math.max(1, Math.floor(tokens / 8));
  const perSecond = (ms: Float64Array) => (1000 * ms.length) / sum(ms);
  return courses.map((course, s) => ({
    method: names[s] as string,
    speedAtStart: perSecond(course.ms.subarray(0, eighth)),
    speedAtEnd: perSecond(course.ms.subarray(tokens - eighth)),
    leastBytes: Math.min(...course.bytes.subarray(eighth)),
    mostBytes: Math.max(...course.bytes.subarray(eighth)),
    kl: quarters(course.kl),
    top1: quarters(course.same),
  }));
}

/** Holds them against what a cache of fixed size must do. */
export function longOutputTargets(rows: readonly LongOutput[]): TargetRow[] {
  return rows
    .filter(({ method }) => method !== "full")
    .flatMap((r) => [
      atMost(`${r.method}: most bytes held over least, %`, (100 * r.mostBytes) / r.leastBytes, 100),
      atLeast(
        `${r.method}: speed at the end over at the start`,
        r.speedAtEnd / r.speedAtStart,
        0.9,
      ),
    ]);
}

function sum(values: Float64Array): number {
  return values.reduce((a, b) => a + b, 0);
}
