import { PyramidKVError, requireInteger } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { readOptions, requireList, type Named } from "../options.ts";
import { WATCH_OPTIONS } from "./option-tables.ts";
import { AttentionObserver, type LayerAttention } from "./observe/attention-observer.ts";
import { defaultChunkTokens } from "./read/chunks.ts";
import { prefill } from "./read/prefill.ts";
import { checkTokens, contextFull } from "./checks.ts";
import type { PrefillOptions } from "./session.ts";

export interface WatchOptions extends PrefillOptions {
  /** Indices of the tokens whose attention is asked for, ascending. */
  readonly queries: Int32Array;
  /** Called with each layer in turn, which waits for it. */
  readonly onLayer: (layer: LayerAttention) => void | Promise<void>;
}

/** What reading needs of an engine. */
export interface WatchParts {
  readonly model: Model;
  readonly chunkTokens: number | undefined;
}

/** Reads tokens for their attention alone: one layer's keys and values are the most that is held. */
export async function watchAttention(
  { model, chunkTokens }: WatchParts,
  given: ArrayLike<number>,
  options: WatchOptions,
): Promise<void> {
  const read = readOptions("watchAttention", WATCH_OPTIONS satisfies Named<WatchOptions>, options);
  const { queries, onLayer, signal, onProgress } = read;
  requireList("tokens", given);
  if (given.length > model.hp.nCtx) throw contextFull(given.length, 0, model.hp.nCtx);
  checkTokens(given, model.hp.nVocab);
  const tokens = Int32Array.from(given);
  checkQueries(queries, tokens.length);
  using watch = new AttentionObserver(model.hp, { queries, n: tokens.length, onLayer });
  await prefill({
    model,
    tokens,
    watch,
    signal,
    onProgress,
    probe: [],
    firstPosition: 0,
    targets: [],
    chunkTokens: chunkTokens ?? defaultChunkTokens(tokens.length, model.hasKernels),
  });
}

function checkQueries(queries: Int32Array, n: number): void {
  requireList("queries", queries);
  if (queries.length === 0) throw new PyramidKVError("USAGE", "no queries are asked for");
  queries.forEach((query, i) => {
    requireInteger("query", query, i === 0 ? 0 : (queries[i - 1] as number) + 1, n - 1);
  });
}
