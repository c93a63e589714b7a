import { composeRecipe } from "./compose.ts";
import {
  ATTENTION_KINDS,
  SUMMED_KINDS,
  type AttentionKind,
  type EvidenceKind,
  type HeadEvidence,
  type LayerEvidence,
  type OutputErrors,
  type QueryStatistics,
  type SummedKind,
} from "./evidence.ts";
import { METHODS } from "./methods.ts";
import type { Method } from "./method.ts";
import type { ResolvedOptions } from "./options.ts";
import type { HeadProfile } from "./profile.ts";
import type { Ranking } from "./ranking.ts";

/** What makes a method again, in another thread. */
export interface MethodSource {
  /** A text that `composeRecipe` takes, of our own methods alone. */
  readonly text: string;
  readonly profile?: HeadProfile | undefined;
}

/** A kv head's evidence as data: as much of it as a method needs. */
interface HeadData extends Pick<HeadEvidence, "n" | "group" | "headDim"> {
  readonly attention: Partial<Record<AttentionKind, Float32Array>>;
  readonly counted: Partial<Record<SummedKind, Float32Array>>;
  readonly keys?: Float32Array | undefined;
  readonly plainKeys?: Float32Array | undefined;
  readonly values?: Float32Array | undefined;
  readonly queries?: QueryStatistics | undefined;
  readonly outputErrors?: OutputErrors | undefined;
}

/** A layer's tokens to rank: data alone, for another thread. */
export interface RankJob {
  readonly source: MethodSource;
  readonly options: ResolvedOptions;
  readonly il: number;
  readonly heads: readonly HeadData[];
}

/** Kinds of evidence with so many numbers per token that a pass over them takes long. */
const ROWS: readonly EvidenceKind[] = ["keys", "plain-keys", "values", "queries"];

/** Whether a method goes through keys or values, which would keep the event loop for long. */
export function readsRows({ needs }: Pick<Method, "needs">): boolean {
  return needs.some((kind) => ROWS.includes(kind));
}

/** What makes a named method again; none where it is one that somebody added. */
export function sourceOf(text: string, profile: HeadProfile | undefined): MethodSource | undefined {
  const innermost = text.slice(text.lastIndexOf("(") + 1).replace(/\)*\s*$/, "");
  return Object.hasOwn(METHODS, innermost.trim()) ? { text, profile } : undefined;
}

/** A layer's evidence as data. */
export function rankJob(
  source: MethodSource,
  { needs }: Pick<Method, "needs">,
  { il, heads }: LayerEvidence,
  options: ResolvedOptions,
): RankJob {
  const has = (kind: EvidenceKind) => needs.includes(kind);
  const dataOf = (head: HeadEvidence): HeadData => ({
    n: head.n,
    group: head.group,
    headDim: head.headDim,
    attention: Object.fromEntries(
      ATTENTION_KINDS.filter(has).map((kind) => [kind, head.attention(kind)]),
    ),
    counted: Object.fromEntries(SUMMED_KINDS.filter(has).map((kind) => [kind, head.counted(kind)])),
    keys: has("keys") ? head.keys() : undefined,
    plainKeys: has("plain-keys") ? head.plainKeys() : undefined,
    values: has("values") ? head.values() : undefined,
    queries: has("queries") ? head.queries() : undefined,
    outputErrors: has("outputs") ? head.outputErrors() : undefined,
  });
  return { source, options, il, heads: heads.map(dataOf) };
}

/** The rankings that a job asks for: what the method's scorer makes of the same evidence. */
export function rank({ source, options, il, heads }: RankJob): readonly (Ranking | null)[] {
  const { method } = composeRecipe(source.text, { profile: source.profile });
  const evidenceOf = (head: HeadData): HeadEvidence => ({
    n: head.n,
    group: head.group,
    headDim: head.headDim,
    attention: (kind) => head.attention[kind] as Float32Array,
    counted: (kind) => head.counted[kind] as Float32Array,
    keys: () => head.keys as Float32Array,
    plainKeys: () => head.plainKeys as Float32Array,
    values: () => head.values as Float32Array,
    queries: () => head.queries as QueryStatistics,
    outputErrors: () => head.outputErrors as OutputErrors,
  });
  return method.score({ il, heads: heads.map(evidenceOf) }, options);
}
