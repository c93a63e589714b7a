import { greedyCourse, type Course } from "../engine/course.ts";
import type { Engine } from "../engine/engine.ts";
import type { SessionOptions } from "../engine/session-options.ts";
import type { Session } from "../engine/session.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { follow } from "./follow.ts";
import { mean } from "../mean.ts";
import { joined } from "./run/sample.ts";
import { answerText, readTogether } from "./share-prefill.ts";
import { documentCases, encodeTexts, needleCases, type EvalCase, type Task } from "./cases.ts";

/** Whether the question is part of the prompt when it is compressed, or comes after. */
export const MODES = ["aware", "agnostic"] as const;
export type QualityMode = (typeof MODES)[number];

/** One way to run. */
export interface QualityRun {
  /** Its line in the table, and its column: the size in tokens of an f16 cache. */
  readonly name: string;
  readonly size?: number;
  readonly options: SessionOptions;
}

export type AlphaTable = Readonly<Partial<Record<Task, number>>>;

/** Which α served each task best where it was measured (docs/log.md): few queries find a fact, many keep a summary. */
export const MEASURED_ALPHAS = { summary: 64, needle: 8 } as const satisfies AlphaTable;

const FULL: QualityRun = { name: "full", options: { method: "full" } };

export interface QualityGrid {
  readonly methods: readonly string[];
  /** Tokens of an f16 cache. */
  readonly kvSizes: readonly number[];
  readonly kvTypes: readonly string[];
}

/** Every method with every cache type at every size in bytes; the full cache is there once for each type. */
export function qualityRuns(
  { methods, kvSizes, kvTypes }: QualityGrid,
  { nLayer, nHeadKv, headDim }: Pick<HyperParameters, "nLayer" | "nHeadKv" | "headDim">,
): QualityRun[] {
  const f16Bytes = 4 * nLayer * nHeadKv * headDim;
  return methods.flatMap((method) =>
    kvTypes.flatMap((kvType): QualityRun[] => {
      const name = kvType === "f16" ? method : `${method}, ${kvType}`;
      if (method === "full") return kvType === "f16" ? [] : [{ name, options: { method, kvType } }];
      return kvSizes.map((size) => {
        return { name, size, options: { method, kvType, kvBytes: size * f16Bytes } };
      });
    }),
  );
}

export interface QualityOptions {
  readonly runs: readonly QualityRun[];
  readonly modes: readonly QualityMode[];
  readonly texts: readonly string[];
  readonly documents: number;
  readonly lengths: readonly number[];
  readonly depths: readonly number[];
  /** Tokens that are forced after each document. */
  readonly steps: number;
  /** Observation windows by task, over those of the runs. */
  readonly alphaFor?: AlphaTable | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (done: number, total: number) => void;
}

export interface QualityRow {
  readonly run: QualityRun;
  readonly mode: QualityMode;
  /** Mean KL divergence to the full cache's next-token probabilities, in nats, of each document. */
  readonly kl: number[];
  /** Share of those positions with the full cache's most likely token, of each document. */
  readonly top1: number[];
  /** Whether each needle's answer holds its number. */
  readonly needles: boolean[];
  /** The most bytes that a cache held after its prompt. */
  kvBytes: number;
}

const ANSWER_TOKENS = 16;

/**
 * How near each way of compressing stays to the full cache: over the next tokens after documents, teacher-forced
 * with the full cache's own greedy answer, and in finding needles. One prefill serves all runs of a case.
 */
export async function runQuality(engine: Engine, o: QualityOptions): Promise<QualityRow[]> {
  const sources = encodeTexts(engine.tokenizer, o.texts);
  const documents = documentCases(engine.tokenizer, sources, o.documents);
  const needles = needleCases(engine.tokenizer, sources, o);
  const rows = o.modes.flatMap((mode) =>
    [FULL, ...o.runs].map((run): QualityRow => ({
      ...{ run, mode, kl: [], top1: [], needles: [], kvBytes: 0 },
    })),
  );
  const total = (documents.length + needles.length) * o.modes.length;
  let done = 0;
  for (const mode of o.modes) {
    const own = rows.filter((row) => row.mode === mode);
    for (const example of [...documents, ...needles]) {
      await runCase(engine, example, own, o);
      o.onStep?.(++done, total);
    }
  }
  return rows;
}

/** The rows of one mode on one case; the first is the full cache. */
async function runCase(
  engine: Engine,
  example: EvalCase,
  rows: readonly QualityRow[],
  o: QualityOptions,
): Promise<void> {
  const { signal } = o;
  const aware = rows[0]?.mode === "aware";
  const prompt = aware ? joined(example) : example.context;
  const alpha = o.alphaFor?.[example.task];
  const forTask = alpha === undefined ? {} : { alpha };
  let truth: Course | undefined;
  const ways = rows.map((row) => ({ row, options: { ...row.run.options, ...forTask } }));
  await readTogether(engine, prompt, ways, { signal }, async ({ way: { row }, sessions }) => {
    const [session] = sessions as [Session];
    row.kvBytes = Math.max(row.kvBytes, session.cache.bytes);
    if (!aware) await session.prefill(example.question);
    if (example.answer !== undefined) {
      const text = await answerText(session, { maxTokens: ANSWER_TOKENS }, signal);
      row.needles.push(text.includes(example.answer));
    } else if (truth === undefined) {
      truth = await greedyCourse(session, o.steps);
      row.kl.push(0);
      row.top1.push(1);
    } else {
      const { kl, same } = await follow(session, truth);
      row.kl.push(mean(kl));
      row.top1.push(mean(same));
    }
  });
}
