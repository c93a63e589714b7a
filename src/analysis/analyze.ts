import type { LayerAttention } from "../engine/observe/attention-observer.ts";
import type { Engine } from "../engine/engine.ts";
import type { PrefillOptions } from "../engine/session.ts";
import { PREFILL_OPTIONS } from "../engine/option-tables.ts";
import { requireOneOf } from "../errors.ts";
import { readOptions, requireList, type Named, type OptionTable } from "../options.ts";
import { meanRow } from "./means.ts";
import { Ranker } from "./ranked.ts";
import { requireText, sampleQueries, type QuerySample, type SampleOptions } from "./sample.ts";
import { STUDIES, type Findings, type StudyName } from "./studies.ts";
import type { AttentionRow, NextQueries, Study, StudyContext } from "./study.ts";

export interface AnalyzeOptions extends PrefillOptions, SampleOptions {
  /** What to study; all by default. */
  readonly studies?: readonly StudyName[];
}

const ANALYZE_OPTIONS = {
  ...PREFILL_OPTIONS,
  studies: { kind: "own" },
  spread: { kind: "integer", min: 1 },
  next: { kind: "integer", min: 1 },
} as const satisfies OptionTable;

/** What was found, by study, and of what. */
export type Analysis<S extends StudyName = StudyName> = {
  readonly model: string;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  /** Tokens of the text. */
  readonly n: number;
  /** Indices of the queries that averages are over, and of the last ones, which one set of tokens must serve. */
  readonly queries: { readonly spread: readonly number[]; readonly next: readonly number[] };
} & { readonly [K in S]: Findings[K] };

/**
 * Studies what a model attends to in a text, in one prefill. Attention is looked at for a sample of the queries, one kv
 * head at a time; where the text has no more tokens than the sample, for all.
 *
 * @throws `USAGE` on an unknown study and on a text of fewer than 16 tokens, besides what `watchAttention` throws
 */
export async function analyze<S extends StudyName = StudyName>(
  engine: Engine,
  tokens: ArrayLike<number>,
  options: AnalyzeOptions & { readonly studies?: readonly S[] } = {},
): Promise<Analysis<S>> {
  requireList("tokens", tokens);
  readOptions("analyze", ANALYZE_OPTIONS satisfies Named<AnalyzeOptions>, options);
  const n = tokens.length;
  const names = options.studies ?? (Object.keys(STUDIES) as S[]);
  for (const name of names) requireOneOf("study", name, Object.keys(STUDIES));
  requireText(n);
  const { compressible, nHead, nHeadKv, headDim } = engine.model;
  const nLayer = compressible.length;
  const sample = sampleQueries(n, options);
  const tokenText = (at: number) => engine.tokenizer.decode([tokens[at] as number]);
  const context: StudyContext = { nLayer, nHead, nHeadKv, headDim, n, sample, tokenText };
  const studies = new Map<StudyName, Study<unknown>>(
    names.map((name) => [name, STUDIES[name].start(context)]),
  );
  const ranker = new Ranker(n);
  await engine.watchAttention(tokens, {
    signal: options.signal,
    onProgress: options.onProgress,
    queries: sample.queries,
    onLayer: async (layer) => {
      for (let kvHead = 0; kvHead < nHeadKv; kvHead++) {
        await showHead(layer, kvHead, { sample, ranker, studies: [...studies.values()] });
      }
    },
  });
  const tokenOf = (places: readonly number[]) => places.map((at) => sample.queries[at] as number);
  return {
    model: engine.model.name,
    nLayer,
    nHead,
    nHeadKv,
    n,
    queries: { spread: tokenOf(sample.spread), next: tokenOf(sample.next) },
    ...Object.fromEntries(Array.from(studies, ([name, study]) => [name, study.result()])),
  } as unknown as Analysis<S>;
}

interface Show {
  readonly sample: QuerySample;
  readonly ranker: Ranker;
  readonly studies: readonly Study<unknown>[];
}

async function showHead(
  layer: LayerAttention,
  kvHead: number,
  { sample, ranker, studies }: Show,
): Promise<void> {
  const { il, n, group, headDim, queries } = layer;
  const { weights, outputs } = await layer.attention(kvHead);
  const values = layer.values(kvHead);
  const rowAt = (h: number, at: number): AttentionRow => {
    const row = h * queries.length + at;
    const query = queries[at] as number;
    return {
      il,
      kvHead,
      head: kvHead * group + h,
      query,
      values,
      weights: weights.subarray(row * n, row * n + query + 1),
      output: outputs.subarray(row * headDim, (row + 1) * headDim),
    };
  };
  for (let h = 0; h < group; h++) {
    for (const at of sample.spread) {
      const row = rowAt(h, at);
      const shown = { ...row, ranked: ranker.rank(row.weights) };
      for (const study of studies) study.row?.(shown);
    }
  }
  const rows = sample.next.flatMap((at) => Array.from({ length: group }, (_, h) => rowAt(h, at)));
  const next = nextQueries(rows, ranker);
  for (const study of studies) study.next?.(next);
}

function nextQueries(rows: readonly AttentionRow[], ranker: Ranker): NextQueries {
  const [{ il, kvHead, query: before }] = rows as [AttentionRow];
  // The mean instead of the sum: the ranker takes weights up to 2.
  const mean = meanRow(
    rows.map(({ weights }) => weights),
    before,
  );
  return { il, kvHead, before, rows, best: ranker.rank(mean).order };
}
