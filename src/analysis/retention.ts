import type { LayerAttention } from "../engine/observe/attention-observer.ts";
import type { Engine } from "../engine/engine.ts";
import type { PrefillOptions } from "../engine/session.ts";
import { PREFILL_OPTIONS } from "../engine/option-tables.ts";
import { PyramidKVError, requireInteger } from "../errors.ts";
import { readOptions, requireList, type Named, type OptionTable } from "../options.ts";
import { keptBy, requireKeepsTokens, type KeptWay } from "./kept-by.ts";
import { KeptHead } from "./kept-head.ts";
import { Means, single } from "./means.ts";
import { overlaps, waysOverlap, type Overlaps } from "./overlaps.ts";
import { prefixSums, Ranker } from "./ranked.ts";
import { RelativeErrors } from "./relative-errors.ts";
import { requireText } from "./sample.ts";

export interface RetentionOptions extends PrefillOptions {
  readonly ways: readonly KeptWay[];
  /** Last tokens of the text, which come after the compression. Defaults to 512, at most half of the text. */
  readonly follow?: number;
}

const RETENTION_OPTIONS = {
  ...PREFILL_OPTIONS,
  ways: { kind: "own" },
  follow: { kind: "integer", min: 1 },
} as const satisfies OptionTable;

/** What a way keeps of a text's beginning, and how that serves the tokens that follow. */
export interface KeptTokens extends Overlaps {
  readonly way: KeptWay;
  /** Positions that each kv head keeps, ascending: [nLayer][nHeadKv]. */
  readonly kept: readonly (readonly Int32Array[])[];
  /** Share on kept tokens of the attention that the next 64 tokens give to the beginning: [nLayer][nHeadKv]. */
  readonly captured: readonly (readonly number[])[];
  /**
   * ‖attention with kept tokens − with all‖ / ‖with all‖ for the next 64 tokens, where 64 follow, all heads of a layer together, each
   * layer for itself: errors of the layers before are not in it. [nLayer]
   */
  readonly errors: readonly number[];
  /** `captured` over all heads, for each stretch of 64 tokens that follow: [stretches]. */
  readonly drift: readonly number[];
  /** The same for as many tokens, chosen again for each stretch by what it attends to: no choice holds more. */
  readonly best: readonly number[];
}

export interface Retention {
  /** Tokens that were compressed, and that follow. */
  readonly before: number;
  readonly follow: number;
  readonly ways: readonly KeptTokens[];
  /** Kept tokens that two ways share, over those that either keeps, averaged over layers and kv heads: [ways][ways]. */
  readonly wayOverlap: readonly (readonly number[])[];
}

/** Tokens of a stretch. */
export const STRETCH = 64;
/** Beyond the first stretch, one of this many tokens is asked. */
const STEP = 4;

/**
 * Compresses the beginning of a text in several ways, and looks at what the tokens after it attend to. Takes two
 * prefills, whatever the number of ways, and one more for each kind of probe or carrying method.
 *
 * @throws `USAGE` on no ways, on one that moves or merges tokens, and on a text of fewer than 16 tokens
 */
export async function retention(
  engine: Engine,
  tokens: ArrayLike<number>,
  options: RetentionOptions,
): Promise<Retention> {
  requireList("tokens", tokens);
  readOptions("retention", RETENTION_OPTIONS satisfies Named<RetentionOptions>, options);
  const { onProgress, ways } = options;
  const n = tokens.length;
  requireText(n);
  requireWays(ways);
  const follow = Math.min(n >> 1, requireInteger("follow", options.follow ?? 512, 1));
  const before = n - follow;
  const beginning = Array.from(tokens).slice(0, before);
  requireKeepsTokens(ways);
  const kept = await keptBy(engine, beginning, ways, {
    ...options,
    onProgress: (share) => onProgress?.(share / 2),
  });
  const gather = new Gather(engine, { before, follow, kept });
  await engine.watchAttention(tokens, {
    signal: options.signal,
    queries: gather.queries,
    onLayer: (layer) => gather.add(layer),
    onProgress: (share) => onProgress?.(0.5 + share / 2),
  });
  return {
    before,
    follow,
    ways: ways.map((way, i) => {
      const layers = kept[i] as readonly Int32Array[][];
      return { way, kept: layers, ...gather.result(i), ...overlaps(layers) };
    }),
    wayOverlap: waysOverlap(kept),
  };
}

function requireWays(ways: unknown): void {
  if (Array.isArray(ways) && ways.length > 0) return;
  throw new PyramidKVError("USAGE", "no methods were given");
}

interface Beginning {
  readonly before: number;
  readonly follow: number;
  /** [ways][nLayer][nHeadKv] */
  readonly kept: readonly (readonly (readonly Int32Array[])[])[];
}

/** What the tokens that follow find of each way's kept ones, layer by layer. */
class Gather {
  readonly queries: Int32Array;
  /** Rows of a head's weights, the group's query heads one after the other, by the stretch of their query. */
  readonly #stretchRows: readonly (readonly number[])[];
  readonly #ranker = new Ranker();
  readonly #captured: Means[];
  readonly #drifts: { readonly kept: Means; readonly best: Means }[];
  readonly #errors: RelativeErrors[];

  constructor(
    engine: Engine,
    private readonly text: Beginning,
  ) {
    const { compressible, nHead, nHeadKv } = engine.model;
    const nLayer = compressible.length;
    const { before, follow, kept } = text;
    this.queries = Int32Array.from({ length: follow }, (_, i) => before + i).filter(
      (_, i) => i < STRETCH || i % STEP === 0,
    );
    const stretches = Math.ceil(follow / STRETCH);
    this.#captured = kept.map(() => new Means(nLayer, nHeadKv, 1));
    this.#stretchRows = this.#rowsByStretch(nHead / nHeadKv);
    this.#drifts = kept.map(() => ({
      kept: new Means(1, stretches, 1),
      best: new Means(1, stretches, 1),
    }));
    this.#errors = kept.map(() => new RelativeErrors(nLayer, 1));
  }

  async add(layer: LayerAttention): Promise<void> {
    const { before, kept } = this.text;
    const { il, nHeadKv } = layer;
    for (let kvHead = 0; kvHead < nHeadKv; kvHead++) {
      const head = new KeptHead(await layer.attention(kvHead), layer, { kvHead, before });
      const stretchMeans = this.#stretchRows.map((rows) => head.meanOf(rows));
      const falling = stretchMeans.map((weights) => prefixSums(this.#ranker.rank(weights).weights));
      kept.forEach((layers, way) => {
        const positions = layers[il]?.[kvHead] as Int32Array;
        const drift = this.#drifts[way] as { kept: Means; best: Means };
        stretchMeans.forEach((weights, at) => {
          const sums = falling[at] as Float64Array;
          const total = sums.at(-1) as number;
          if (total === 0) return;
          const share = positions.reduce((sum, j) => sum + (weights[j] as number), 0) / total;
          drift.kept.add(0, at, [share]);
          drift.best.add(0, at, [(sums[positions.length] as number) / total]);
          if (at === 0) this.#captured[way]?.add(il, kvHead, [share]);
        });
        for (const row of this.#stretchRows[0] as readonly number[]) {
          const { error, norm } = head.errorOf(positions, row);
          this.#errors[way]?.add(il, [error], norm);
        }
      });
    }
  }

  #rowsByStretch(group: number): number[][] {
    const { before, follow } = this.text;
    const rows = Array.from({ length: Math.ceil(follow / STRETCH) }, (): number[] => []);
    for (let h = 0; h < group; h++) {
      this.queries.forEach((query, i) => {
        rows[Math.floor((query - before) / STRETCH)]?.push(h * this.queries.length + i);
      });
    }
    return rows;
  }

  result(way: number): Pick<KeptTokens, "captured" | "errors" | "drift" | "best"> {
    const { kept, best } = this.#drifts[way] as { kept: Means; best: Means };
    return {
      captured: single((this.#captured[way] as Means).means()),
      errors: (this.#errors[way] as RelativeErrors).result().map(([error]) => error as number),
      drift: single(kept.means())[0] as number[],
      best: single(best.means())[0] as number[],
    };
  }
}
