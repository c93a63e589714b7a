import { analyze } from "../analysis/analyze.ts";
import type { Engine } from "../engine/engine.ts";
import { median, spreadOf, type Spread } from "./statistics.ts";
import { atMost, type TargetRow } from "./targets.ts";

export interface AnalysisBenchOptions {
  readonly engine: Engine;
  readonly tokens: Int32Array;
  /** Tokens that are read of these. */
  readonly lengths: readonly number[];
  readonly repetitions: number;
  readonly onStep?: (done: number, total: number) => void;
}

/** All studies of a text beside its prefill with a full cache. */
export interface AnalysisRow {
  readonly tokens: number;
  readonly prefillMs: Spread;
  readonly analysisMs: Spread;
  /** Analysis over prefill, each round's own. */
  readonly ratios: readonly number[];
  /** The most that this process has held until then, the model, prefills and shorter texts included. */
  readonly peakRssBytes: number;
}

/** Measures what the studies cost, texts in rising order of length. */
export async function compareAnalysis(o: AnalysisBenchOptions): Promise<AnalysisRow[]> {
  const rows: AnalysisRow[] = [];
  const lengths = o.lengths.toSorted((a, b) => a - b);
  const total = lengths.length * o.repetitions;
  for (const length of lengths) {
    const tokens = o.tokens.subarray(0, length);
    const rounds: { readonly prefill: number; readonly analysis: number }[] = [];
    for (let i = 0; i < o.repetitions; i++) {
      const prefill = await timed(async () => {
        using session = o.engine.createSession({ method: "full" });
        await session.prefill(tokens);
      });
      const analysis = await timed(() => analyze(o.engine, tokens));
      rounds.push({ prefill, analysis });
      o.onStep?.(rows.length * o.repetitions + rounds.length, total);
    }
    rows.push({
      tokens: length,
      prefillMs: spreadOf(rounds.map(({ prefill }) => prefill)),
      analysisMs: spreadOf(rounds.map(({ analysis }) => analysis)),
      ratios: rounds.map(({ prefill, analysis }) => analysis / prefill),
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    });
  }
  return rows;
}

/** Studies must not take longer than three prefills, nor more than 1 GB at 8,000 tokens. */
export function analysisTargets(rows: readonly AnalysisRow[]): TargetRow[] {
  return rows.flatMap(({ tokens, ratios, peakRssBytes }) => [
    atMost(`studies of ${tokens} tokens, in prefills`, median(ratios), 3, "×"),
    ...(tokens <= 8000
      ? [atMost(`the process at ${tokens} tokens`, peakRssBytes / 1e9, 1, " GB")]
      : []),
  ]);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return performance.now() - started;
}
