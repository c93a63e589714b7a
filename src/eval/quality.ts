import { createHash } from "node:crypto";
import { follow, greedyCourse, type Course } from "../measure/course.ts";
import type { Engine } from "../engine/engine.ts";
import { reportKv } from "../engine/kv-report.ts";
import type { SessionOptions } from "../engine/session-options.ts";
import type { Session } from "../engine/session.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { mean } from "../mean.ts";
import type { QualityMode } from "./run/mode.ts";
import { ResultFile } from "./run/result-file.ts";
import { keyOf, type ResultIdentity, type ResultRow } from "./run/result-row.ts";
import { joined } from "./run/sample.ts";
import { answerText, readTogether } from "../measure/read-together.ts";
import { documentCases, encodeTexts, needleCases, type EvalCase, type Task } from "./cases.ts";

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
  { layers }: Pick<HyperParameters, "layers">,
): QualityRun[] {
  const f16Bytes = (size: number) =>
    layers.reduce((sum, { nHeadKv, headDim, window }) => {
      return sum + (window ?? size) * 4 * nHeadKv * headDim;
    }, 0);
  return methods.flatMap((method) =>
    kvTypes.flatMap((kvType): QualityRun[] => {
      const name = kvType === "f16" ? method : `${method}, ${kvType}`;
      if (method === "full") return kvType === "f16" ? [] : [{ name, options: { method, kvType } }];
      return kvSizes.map((size) => {
        return { name, size, options: { method, kvType, kvBytes: f16Bytes(size) } };
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
  /** Where each case's results are added, and which are there already. */
  readonly results?: ResultFile | undefined;
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
/** Rises when results can change. */
const VERSION = 2;

/**
 * How near each way of compressing stays to the full cache: over the next tokens after documents, teacher-forced
 * with the full cache's own greedy answer, and in finding needles. One prefill serves all runs of a case.
 *
 * @throws `ABORTED`; what was measured until then is in the results
 */
export async function runQuality(engine: Engine, o: QualityOptions): Promise<QualityRow[]> {
  const sources = encodeTexts(engine.tokenizer, o.texts);
  const documents = documentCases(engine.tokenizer, sources, o.documents);
  const needles = needleCases(engine.tokenizer, sources, o);
  const results = o.results ?? (await ResultFile.open());
  const rows = o.modes.flatMap((mode) =>
    [FULL, ...o.runs].map((run): QualityRow => ({
      run,
      mode,
      kl: [],
      top1: [],
      needles: [],
      kvBytes: 0,
    })),
  );
  const total = (documents.length + needles.length) * o.modes.length;
  let done = 0;
  for (const mode of o.modes) {
    const modeRows = rows.filter((row) => row.mode === mode);
    for (const example of [...documents, ...needles]) {
      const ways = modeRows.map((row) => wayOf(engine, example, row, o));
      await measureCase(engine, example, ways, results, o);
      for (const { row, key } of ways) addResult(row, results.get(key) as ResultRow);
      o.onStep?.(++done, total);
    }
  }
  return rows;
}

/** One run on one case. */
interface CaseWay {
  readonly row: QualityRow;
  readonly options: SessionOptions;
  readonly identity: ResultIdentity;
  readonly key: string;
}

function wayOf(engine: Engine, example: EvalCase, row: QualityRow, o: QualityOptions): CaseWay {
  const { run, mode } = row;
  const alpha = o.alphaFor?.[example.task];
  const options = { ...run.options, ...(alpha === undefined ? {} : { alpha }) };
  const { budgets, method } = options;
  using session = engine.createSession(options);
  const isDocument = example.answer === undefined;
  const identity = {
    task: `quality/${isDocument ? "documents" : "needles"}`,
    version: VERSION,
    sample: isDocument ? `${example.name}, ${o.steps} tokens` : example.name,
    mode,
    method: budgets === undefined && typeof method === "string" ? method : run.name,
    options: {
      ...session.compression.options,
      ...(budgets && { budgets: digest(JSON.stringify(budgets)) }),
    },
    kvType: session.cache.format.name,
    weights: engine.weights,
    prompt: digest(joined(example)),
  };
  return { row, options, identity, key: keyOf(identity) };
}

/** Measures a case in the ways that have no results yet; the first is the full cache, which the others follow. */
async function measureCase(
  engine: Engine,
  example: EvalCase,
  ways: readonly CaseWay[],
  results: ResultFile,
  { steps, signal }: QualityOptions,
): Promise<void> {
  const missing = ways.filter(({ key }) => !results.has(key));
  if (missing.length === 0) return;
  const [full] = ways as [CaseWay];
  const needsFull = example.answer === undefined && !missing.includes(full);
  const aware = full.row.mode === "aware";
  const prompt = aware ? joined(example) : example.context;
  let truth: Course | undefined;
  const measured: ResultRow[] = [];
  const answering = needsFull ? [full, ...missing] : missing;
  await readTogether(
    engine,
    prompt,
    answering,
    { signal },
    async ({ way, sessions, prefillMs }) => {
      const [session] = sessions as [Session];
      const { layers: _, type: __, ...held } = reportKv(session.cache, prompt.length);
      const peakBytes = session.cache.ledger.peak;
      if (!aware) await session.prefill(example.question);
      const started = performance.now();
      let found: Pick<ResultRow, "score" | "output" | "answers" | "facts">;
      if (example.answer !== undefined) {
        const output = await answerText(session, { maxTokens: ANSWER_TOKENS }, signal);
        const score = Number(output.includes(example.answer));
        found = { score, output, answers: [example.answer] };
      } else {
        const isFull = truth === undefined;
        truth ??= await greedyCourse(session, steps);
        const near = isFull ? [{ kl: 0, same: true }] : await follow(session, truth);
        const score = mean(near.map(({ same }) => same));
        const kl = mean(near.map((step) => step.kl));
        found = { score, output: "", answers: [], facts: { kl } };
      }
      measured.push({
        ...way.identity,
        model: engine.model.name,
        kernels: engine.kernels.name,
        prompts: "own",
        promptTokens: example.context.length + example.question.length,
        ...found,
        kv: { ...held, peakBytes },
        ms: { prefill: prefillMs, decode: performance.now() - started },
      });
    },
  );
  await results.append(measured);
}

function addResult(row: QualityRow, { task, score, facts, kv }: ResultRow): void {
  row.kvBytes = Math.max(row.kvBytes, kv.bytes);
  if (task === "quality/needles") {
    row.needles.push(score === 1);
    return;
  }
  row.kl.push(facts?.kl ?? NaN);
  row.top1.push(score);
}

function digest(data: string | Int32Array): string {
  return createHash("sha256").update(data).digest("hex").slice(0, 16);
}
