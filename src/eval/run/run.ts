import { createHash } from "node:crypto";
import type { Engine, SessionOptions } from "../../engine/engine.ts";
import { reportKv } from "../../engine/kv-report.ts";
import type { Session } from "../../engine/session.ts";
import { throwIfAborted } from "../../errors.ts";
import type { QualityMode } from "../quality.ts";
import { scoreOf } from "../scored-tasks.ts";
import { sharingPrefill } from "../share-prefill.ts";
import { ResultFile } from "./result-file.ts";
import { keyOf, type ResultIdentity, type ResultRow } from "./result-row.ts";
import type { PromptParts, Sample } from "./sample.ts";

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
  /** Cells done, of how many; cells that are all there count as done. */
  readonly onCell?: (done: number, total: number) => void;
}

/** Never compressed again when the question comes. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

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
  const [part, parts] = o.shard ?? [0, 1];
  const cells = o.samples
    .flatMap((sample) => o.modes.map((mode) => ({ sample, mode })))
    .filter((_, i) => i % parts === part);
  for (const [done, { sample, mode }] of cells.entries()) {
    throwIfAborted(o.signal);
    await results.append(await runCell(engine, { sample, mode, ...o, results }));
    o.onCell?.(done + 1, cells.length);
  }
  return results.rows;
}

interface Cell extends Pick<RunOptions, "ways" | "signal"> {
  readonly sample: Sample;
  readonly mode: QualityMode;
  readonly results: ResultFile;
}

/** What is not there yet of one sample in one mode. */
async function runCell(engine: Engine, cell: Cell): Promise<ResultRow[]> {
  const { sample, mode, signal } = cell;
  const prompt = sample.parts();
  const wanted = cell.ways.flatMap((options) => {
    const identity = identityOf(engine, cell, prompt, options);
    return cell.results.has(keyOf(identity)) ? [] : [{ identity, options }];
  });
  const rows: ResultRow[] = [];
  for (const group of sharingPrefill(engine, wanted)) {
    const sessions = group.map(({ options }) =>
      engine.createSession({ ...options, kvLimit: NO_LIMIT }),
    );
    try {
      const started = performance.now();
      const first = mode === "aware" ? joined(prompt) : prompt.context;
      await engine.prefillTogether(sessions, first, signal === undefined ? {} : { signal });
      const prefill = performance.now() - started;
      for (const [i, session] of sessions.entries()) {
        const { identity } = group[i] as { identity: ResultIdentity };
        const { layers: _, type: __, ...held } = reportKv(session.cache, first.length);
        const peakBytes = session.cache.ledger.peak;
        if (mode === "agnostic") await session.prefill(prompt.question);
        const { output, decode } = await answer(session, cell);
        rows.push({
          ...identity,
          ...{ model: engine.model.name, kernels: engine.kernels.name, prompts: sample.prompts },
          promptTokens: prompt.context.length + prompt.question.length,
          ...(sample.facts && { facts: sample.facts }),
          ...{ output, answers: sample.truth.answers },
          score: scoreOf(sample.scored, output, sample.truth),
          ...{ kv: { ...held, peakBytes }, ms: { prefill, decode } },
        });
        session[Symbol.dispose]();
      }
    } finally {
      for (const session of sessions) session[Symbol.dispose]();
    }
  }
  return rows;
}

function identityOf(
  engine: Engine,
  { sample, mode }: Cell,
  prompt: PromptParts,
  way: Way,
): ResultIdentity {
  using session = engine.createSession(way);
  return {
    ...{ task: sample.task, sample: sample.id, mode, method: way.method },
    options: { ...session.compression.options },
    kvType: session.cache.format.name,
    fingerprint: engine.fingerprint,
    prompt: createHash("sha256").update(joined(prompt)).digest("hex").slice(0, 16),
  };
}

function joined({ context, question }: PromptParts): Int32Array {
  const all = new Int32Array(context.length + question.length);
  all.set(context);
  all.set(question, context.length);
  return all;
}

async function answer(
  session: Session,
  { sample, signal }: Cell,
): Promise<{ output: string; decode: number }> {
  const { maxTokens, stop } = sample;
  const room = session.endless ? maxTokens : session.contextSize - session.nPast;
  const options = { maxTokens: Math.min(maxTokens, room), ...(stop && { stop }) };
  const started = performance.now();
  let output = "";
  for await (const piece of session.generate({ ...options, ...(signal && { signal }) })) {
    output += piece.text;
  }
  return { output, decode: performance.now() - started };
}
