import { createHash } from "node:crypto";
import type { Engine } from "../../engine/engine.ts";
import type { SessionOptions } from "../../engine/session-options.ts";
import { reportKv } from "../../engine/kv-report.ts";
import type { Session } from "../../engine/session.ts";
import { PyramidKVError, throwIfAborted } from "../../errors.ts";
import type { QualityMode } from "./mode.ts";
import { scoreOf, type ScoredTask } from "./score.ts";
import { answerText, readTogether } from "../../measure/read-together.ts";
import { ResultFile } from "./result-file.ts";
import { keyOf, type ResultIdentity, type ResultRow } from "./result-row.ts";
import { joined, type PromptParts, type Sample } from "./sample.ts";

/** A method and its size, with any other options. */
export type Way = SessionOptions & { readonly method: string };

export interface RunOptions {
  readonly samples: readonly Sample[];
  readonly ways: readonly Way[];
  readonly modes: readonly QualityMode[];
  /** Where results are added, and which are there already. */
  readonly results?: ResultFile;
  /** This process's part of the cells: `[i, n]` does every n-th one, from the i-th on, counted from 0. */
  readonly shard?: readonly [number, number];
  readonly signal?: AbortSignal | undefined;
  /** Called with the reason why a cell was left out: its prompt does not fit, or cannot be made. */
  readonly onProblem?: (message: string) => void;
  /** Cells done, of how many; cells that are all there count as done. */
  readonly onCell?: (done: number, total: number) => void;
}

/**
 * Answers every sample in every way, once with the question in the prompt that is compressed and once with the
 * question coming after. One prefill serves all ways of a sample, so a grid costs little more than its slowest line,
 * and the answers are those of separate runs.
 *
 * @returns all rows of the results, earlier ones first
 * @throws `ABORTED`; what was answered until then is in the results
 */
export async function runSamples(engine: Engine, o: RunOptions): Promise<readonly ResultRow[]> {
  const results = o.results ?? (await ResultFile.open());
  const cells = cellsOf(o);
  for (const [done, { sample, mode }] of cells.entries()) {
    throwIfAborted(o.signal);
    await leavingOut(o, sample, async () => {
      const cell = { ...sampleCell(sample), mode };
      const ways = missingWays(engine, cell, o.ways, results);
      await results.append(await answerCell(engine, cell, ways, o.signal));
    });
    o.onCell?.(done + 1, cells.length);
  }
  return results.rows;
}

/** Runs a task on a sample; what is wrong with the sample itself is told, and the others go on. */
export async function leavingOut(
  { onProblem }: Pick<RunOptions, "onProblem">,
  { task, id }: Sample,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isSamples =
      error instanceof PyramidKVError && ["CONTEXT_FULL", "USAGE"].includes(error.code);
    if (!isSamples || onProblem === undefined) throw error;
    onProblem(`${task}, ${id}: ${error.message}`);
  }
}

/** This process's part of the samples and modes. */
export function cellsOf({ samples, modes, shard: [part, parts] = [0, 1] }: RunOptions) {
  return samples
    .flatMap((sample) => modes.map((mode) => ({ sample, mode })))
    .filter((_, i) => i % parts === part);
}

/** A sample in one mode, as plain data. */
export interface Cell extends Omit<Sample, "parts" | "scored">, PromptParts {
  readonly scored: ScoredTask;
  readonly mode: QualityMode;
  /** SHA-256 of the prompt's tokens, 16 digits. */
  readonly prompt: string;
}

/** A sample as plain data, its prompt made. */
export function sampleCell(sample: Sample): Omit<Cell, "mode"> {
  const { task, version, id, scored, truth, prompts, facts } = sample;
  const { maxTokens, minTokens, stop } = sample;
  const parts = sample.parts();
  return {
    task,
    version,
    id,
    truth,
    maxTokens,
    minTokens,
    stop,
    prompts,
    ...parts,
    prompt: createHash("sha256").update(joined(parts)).digest("hex").slice(0, 16),
    scored: { metric: scored.metric, firstLine: scored.firstLine },
    ...(facts && { facts }),
  };
}

/** The ways of a cell that have no results yet. */
export function missingWays(
  engine: Engine,
  cell: Cell,
  ways: readonly Way[],
  results: ResultFile,
): Way[] {
  return ways.filter((way) => {
    using session = engine.createSession(way);
    return !results.has(keyOf(identityOf(engine, cell, way, session)));
  });
}

/** Answers one cell in all ways that are asked for. */
export async function answerCell(
  engine: Engine,
  cell: Cell,
  ways: readonly Way[],
  signal?: AbortSignal,
): Promise<ResultRow[]> {
  const rows: ResultRow[] = [];
  const first = cell.mode === "aware" ? joined(cell) : cell.context;
  const cases = ways.map((options) => ({ options }));
  await readTogether(engine, first, cases, { signal }, async ({ way, sessions, prefillMs }) => {
    const [session] = sessions as [Session];
    const { layers: _, type: __, ...held } = reportKv(session.cache, first.length);
    const peakBytes = session.cache.ledger.peak;
    if (cell.mode === "agnostic" && cell.question.length > 0) {
      await session.prefill(cell.question);
    }
    const started = performance.now();
    const output = await answerText(session, cell, signal);
    rows.push({
      ...identityOf(engine, cell, way.options, session),
      model: engine.model.name,
      kernels: engine.kernels.name,
      prompts: cell.prompts,
      promptTokens: cell.context.length + cell.question.length,
      ...(cell.facts && { facts: cell.facts }),
      output,
      answers: cell.truth.answers,
      score: scoreOf(cell.scored, output, cell.truth),
      kv: { ...held, peakBytes },
      ms: { prefill: prefillMs, decode: performance.now() - started },
    });
  });
  return rows;
}

function identityOf(engine: Engine, cell: Cell, way: Way, session: Session): ResultIdentity {
  return {
    task: cell.task,
    version: cell.version,
    sample: cell.id,
    mode: cell.mode,
    method: way.method,
    options: { ...session.compression.options },
    kvType: session.cache.format.name,
    weights: engine.weights,
    prompt: cell.prompt,
  };
}
