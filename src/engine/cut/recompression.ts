import { listed } from "../../compression/budgets/listed.ts";
import { BudgetPlan } from "../../compression/budgets/plan.ts";
import { uniform } from "../../compression/budgets/uniform.ts";
import type { LayerEvidence, SummedKind } from "../../compression/evidence.ts";
import { keepByHead } from "../../compression/keep.ts";
import type { Ranking } from "../../compression/ranking.ts";
import type { Compression } from "../../compression/resolve.ts";
import { dividesWhileDecoding, neededWhileDecoding } from "../../compression/decode-evidence.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TurnKeys } from "../../kvcache/gather.ts";
import type { KvCache } from "../../kvcache/kv-cache.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { evict, newest } from "../../kvcache/shrink.ts";
import type { Model } from "../../models/model.ts";
import { cacheEvidence, type CacheNeeds } from "../observe/cache-evidence.ts";
import { QueryRing } from "../observe/query-ring.ts";
import { Received, summedKinds } from "../observe/received.ts";
import type { Places } from "../observe/visibility.ts";
import { rankLayer } from "./ranker.ts";

/** A layer that methods act on, as it is before it is cut. */
interface RankedCache {
  readonly il: number;
  readonly layer: LayerCache;
  readonly evidence: LayerEvidence;
  readonly rankings: readonly (Ranking | null)[];
}

/**
 * Compresses again while decoding, every N tokens, so that the cache keeps its size however long the
 * output. The queries of the last decoded tokens are kept for that.
 */
export class Recompression extends NativeOwner {
  readonly ring: QueryRing;
  readonly #every: number;
  /** The order of what layers and heads kept where tokens moved. */
  #keptOrder: readonly (readonly Int32Array[])[] = [];
  /** Tokens decoded at the last time. */
  #before = 0;
  /** Where a method sums over all queries: what each kept token received so far. */
  #received: Received;
  readonly #summed: readonly SummedKind[];
  /** Tokens per layer and kv head after the prompt, where it was cut. */
  #division: number[][] | undefined;

  constructor(
    private readonly model: Model,
    private readonly compression: Compression,
  ) {
    super();
    const { method, recipe, options } = compression;
    this.#every = recipe.every as number;
    this.#summed = summedKinds(neededWhileDecoding(method));
    this.#received = this.newReceived();
    const size = Math.max(options.alpha, this.#summed.length > 0 ? this.#every : 1);
    this.ring = new QueryRing(model, size);
  }

  /** What the next prompt's tokens will have received. */
  newReceived(): Received {
    return new Received(this.#summed);
  }

  /**
   * Starts over after a prompt: the queries decoded before it saw another cache.
   *
   * @param cut whether the prompt's tokens were divided over the heads again
   */
  begin(cache: KvCache, received: Received, cut: boolean): void {
    this.#startCounting(received);
    if (!cut) return;
    this.#division = this.#layersOf(cache).map(({ layer }) => layer.heads.map((h) => h.length));
  }

  /** Forgets everything. */
  reset(): void {
    this.#startCounting(this.newReceived());
    this.#division = undefined;
  }

  #startCounting(received: Received): void {
    this.ring.clear();
    this.#before = 0;
    this.#received = received;
    this.#keptOrder = [];
  }

  /** Whether enough tokens were decoded to compress again. */
  get due(): boolean {
    return this.ring.count - this.#before >= this.#every;
  }

  /**
   * Cuts every layer that methods act on to its budget, within its own memory.
   *
   * @returns the position of the next token, where tokens moved
   */
  async run(cache: KvCache, nextPosition: number): Promise<number> {
    this.assertAlive();
    const { recipe } = this.compression;
    const layers = this.#layersOf(cache);
    const nTokens = Math.max(...layers.flatMap(({ layer }) => layer.heads.map((h) => h.length)));
    const { nHeadKv } = this.model.hp;
    const plan = new BudgetPlan(this.#dividing, { nLayer: layers.length, nHeadKv, nTokens });
    const ranked: RankedCache[] = [];
    let budgets: readonly (readonly number[])[] = [];
    for (const [at, { il, layer }] of layers.entries()) {
      const evidence = await cacheEvidence(
        {
          model: this.model,
          il,
          layer,
          ring: this.ring,
          held: layer.heads.map((_, h) => this.#placesOf(at, layer, h)),
          nextPosition,
          received: this.#received,
        },
        this.#needs,
      );
      const rankings = plan.keepsAll(at, evidence.heads)
        ? evidence.heads.map(() => null)
        : await rankLayer(this.compression, evidence);
      ranked.push({ il, layer, evidence, rankings });
      budgets = plan.add(at, { evidence, rankings });
    }
    const moves = recipe.rerotates === true && plan.longest < nTokens;
    const longest = moves ? Math.max(plan.longest, longestWindow(cache)) : plan.longest;
    const to = moves ? longest - 1 : undefined;
    this.#keptOrder = await this.#cut(ranked, budgets, to);
    this.#before = this.ring.count;
    if (to === undefined) return nextPosition;
    await this.#moveWindows(cache, to);
    this.ring.move(to + 1 - nextPosition);
    return to + 1;
  }

  /** @returns where tokens move, the order of what each head kept */
  async #cut(
    ranked: readonly RankedCache[],
    budgets: readonly (readonly number[])[],
    to: number | undefined,
  ): Promise<readonly (readonly Int32Array[])[]> {
    const { recipe, options } = this.compression;
    const keptOrder: Int32Array[][] = [];
    for (const [at, { il, layer, evidence, rankings }] of ranked.entries()) {
      const lengths = evidence.heads.map(({ n }) => n);
      const kept = keepByHead({ rankings, lengths }, budgets[at] as readonly number[], options);
      const orders = layer.heads.map((_, h) => this.#placesOf(at, layer, h).order);
      const moved = to === undefined ? undefined : { to, turn: this.#turn(il) };
      await evict(layer, kept, { moved, mergeWeight: recipe.merges });
      this.#received.adopt(evidence, kept);
      keptOrder.push(kept.map((rows, h) => rows.map((row) => orders[h]?.[row] as number)));
    }
    return to === undefined ? this.#keptOrder : keptOrder;
  }

  /** Layers with a sliding window keep what it shows, and move along. */
  async #moveWindows(cache: KvCache, to: number): Promise<void> {
    for (const il of cache.attending) {
      const layer = cache.layer(il) as LayerCache;
      const { window } = layer;
      if (window === undefined) continue;
      const kept = layer.heads.map(({ length }) => newest(length, Math.min(length, window)));
      await evict(layer, kept, { moved: { to, turn: this.#turn(il) } });
    }
  }

  #turn(il: number): TurnKeys {
    return (g, keys, by) => this.model.graph.turn(g, il, keys, by);
  }

  /** The layers that methods act on. */
  #layersOf(cache: KvCache): { readonly il: number; readonly layer: LayerCache }[] {
    return this.model.hp.compressible.map((il) => ({ il, layer: cache.layer(il) as LayerCache }));
  }

  /** The tokens that a head holds now. */
  #placesOf(at: number, layer: LayerCache, h: number): Places {
    const positions = layer.positions(h);
    const kept = this.#keptOrder[at]?.[h];
    if (kept === undefined) return { positions, order: positions };
    return { positions, order: positions.map((p, i) => kept[i] ?? p + this.ring.ahead) };
  }

  /** Where decoded tokens do not show what budgets follow, they stay as the prompt's. */
  get #dividing(): Compression {
    const { method } = this.compression;
    if (dividesWhileDecoding(method.budget)) return this.compression;
    const budget = this.#division === undefined ? uniform : listed(this.#division);
    return { ...this.compression, method: { ...method, budget } };
  }

  get #needs(): CacheNeeds {
    const { method, options } = this.compression;
    const needs = neededWhileDecoding(method);
    const { length, count } = this.ring;
    return {
      window: needs.includes("window") ? Math.min(options.alpha, length) : 0,
      sums: this.#summed.length > 0 ? Math.min(count - this.#before, length) : 0,
      kinds: this.#summed,
      rows: needs.includes("keys") || needs.includes("values"),
      plainKeys: needs.includes("plain-keys"),
    };
  }

  protected release(): void {
    this.ring[Symbol.dispose]();
  }
}

/** The most tokens that a layer with a sliding window shows; 0 where none has one. */
function longestWindow(cache: KvCache): number {
  const shown = cache.layers.map(({ window = 0, heads }) => {
    return Math.min(window, Math.max(...heads.map((h) => h.length)));
  });
  return Math.max(0, ...shown);
}
