import { checkRankings } from "../compression/check.ts";
import { listed } from "../compression/budgets/listed.ts";
import { BudgetPlan } from "../compression/budgets/plan.ts";
import { uniform } from "../compression/budgets/uniform.ts";
import type {
  AttentionKind,
  HeadEvidence,
  LayerEvidence,
  OutputErrors,
  QueryStatistics,
  SummedKind,
} from "../compression/evidence.ts";
import { keepByHead } from "../compression/keep.ts";
import type { Compression } from "../compression/resolve.ts";
import { attentionScores } from "../compression/scores/attention-scores.ts";
import { dividesWhileDecoding, neededWhileDecoding } from "../compression/together.ts";
import { PyramidKVError } from "../errors.ts";
import type { Executor, InputGraph } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, TensorBuffer, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import type { TurnKeys } from "../kvcache/gather.ts";
import type { KvCache } from "../kvcache/kv-cache.ts";
import type { HeadGroup, LayerCache } from "../kvcache/layer-cache.ts";
import { spread } from "../kvcache/kv-format.ts";
import { evict } from "../kvcache/shrink.ts";
import { queriesOf } from "../models/blocks/attention.ts";
import type { Model } from "../models/model.ts";
import { ACCUMULATIONS } from "./accumulators.ts";
import { queryHeads } from "./head-runs.ts";
import { Received, summedKinds } from "./received.ts";
import { endsWith, visibility, type Places } from "./visibility.ts";

interface ScoredQueries {
  readonly heads: HeadGroup;
  readonly k: Tensor;
  /** The last so many queries. */
  readonly n: number;
  readonly nextPosition: number;
  /** Only attention from at least so far away counts. */
  readonly distance: number;
  /** The tokens that each of the heads holds. */
  readonly held: readonly Places[];
}

/**
 * Compresses again while decoding, every so many tokens, so that the cache keeps its size however long the
 * output. The queries of the last decoded tokens are kept for that, before rotation, as rows that take turns.
 */
export class Recompression extends NativeOwner {
  /** Queries held at most. */
  readonly size: number;
  readonly #every: number;
  readonly #buffer: TensorBuffer;
  /** Positions of the queries held, and their order, by row. */
  readonly #positions: Int32Array;
  readonly #order: Int32Array;
  /** The order of what layers and heads kept where tokens moved, and what later tokens' positions are behind theirs. */
  #keptOrder: readonly (readonly Int32Array[])[] = [];
  #behind = 0;
  /** Tokens decoded, and those at the last time. */
  #count = 0;
  #before = 0;
  /** Where a method sums over all queries: what each kept token received so far. */
  #received: Received;
  readonly #summed: readonly SummedKind[];
  /** Tokens per layer and kv head after the prompt, where it was cut. */
  #division: number[][] | undefined;

  constructor(
    private readonly executor: Executor,
    private readonly model: Model,
    private readonly compression: Compression,
  ) {
    super();
    const { method, options } = compression;
    this.#every = method.every as number;
    this.#summed = summedKinds(neededWhileDecoding(method));
    this.#received = this.newReceived();
    this.size = Math.max(options.alpha, this.#summed.length > 0 ? this.#every : 1);
    this.#positions = new Int32Array(this.size);
    this.#order = new Int32Array(this.size);
    const { hp } = model;
    const spec = { type: TYPES.f32, shape: [hp.headDim * hp.nHead, this.size] };
    this.#buffer = new TensorBuffer(
      executor.backend.bufferType,
      Array.from({ length: hp.nLayer }, () => spec),
    );
  }

  /** The row that the next token's query is written to. */
  get nextRow(): number {
    return this.#count % this.size;
  }

  /** Adds the copy of a layer's query, f32 [headDim, nHead, 1] before rotation, to a decode graph. */
  capture(g: Graph, il: number, q: Tensor, row: Tensor): void {
    const { headDim, nHead } = this.model.hp;
    const flat = g.view2d(q, headDim * nHead, 1, headDim * nHead * 4, 0);
    g.expand(g.setRows(this.#buffer.tensors[il] as Tensor, flat, row));
  }

  /** Notes that a step wrote its queries. */
  stepped(position: number): void {
    this.#positions[this.nextRow] = position;
    this.#order[this.nextRow] = position + this.#behind;
    this.#count++;
  }

  /** What the next prompt's tokens will have received. */
  newReceived(): Received {
    return new Received(this.#summed);
  }

  /**
   * Begins anew after a prompt: queries decoded before saw another cache.
   *
   * @param cut whether the prompt's tokens were divided over the heads anew
   */
  begin(cache: KvCache, received: Received, cut: boolean): void {
    this.#startCounting(received);
    if (cut) this.#division = cache.layers.map((l) => l.heads.map(({ length }) => length));
  }

  /** Forgets everything. */
  reset(): void {
    this.#startCounting(this.newReceived());
    this.#division = undefined;
  }

  #startCounting(received: Received): void {
    this.#count = 0;
    this.#before = 0;
    this.#received = received;
    this.#keptOrder = [];
    this.#behind = 0;
  }

  /** Whether it is time. */
  get due(): boolean {
    return this.#count - this.#before >= this.#every;
  }

  /**
   * Cuts every layer to its budget, within its own memory.
   *
   * @returns the position of the next token, where tokens moved
   */
  async run(cache: KvCache, nextPosition: number): Promise<number> {
    this.assertAlive();
    const { method, options } = this.compression;
    const lengths = cache.layers.flatMap((l) => l.heads.map((h) => h.length));
    const { nLayer, nHeadKv } = this.model.hp;
    const nTokens = Math.max(...lengths);
    const plan = new BudgetPlan(this.#dividing, { nLayer, nHeadKv, nTokens });
    const seen: { evidence: LayerEvidence; rankings: ReturnType<typeof method.score> }[] = [];
    let budgets: readonly (readonly number[])[] = [];
    for (const [il, layer] of cache.layers.entries()) {
      const evidence = await this.#observe(il, layer, nextPosition);
      const ranks = !plan.keepsAll(il, evidence.heads);
      const rankings: unknown = ranks
        ? method.score(evidence, options)
        : evidence.heads.map(() => null);
      checkRankings(method.name, evidence, rankings, true);
      seen.push({ evidence, rankings });
      budgets = plan.add(il, { evidence, rankings });
    }
    const moves = method.rerotates === true && plan.longest < nTokens;
    const to = plan.longest - 1;
    const keptOrder: Int32Array[][] = [];
    for (const [il, layer] of cache.layers.entries()) {
      const { evidence, rankings } = seen[il] as (typeof seen)[number];
      const ranked = { rankings, lengths: evidence.heads.map(({ n }) => n) };
      const kept = keepByHead(ranked, budgets[il] as readonly number[], options);
      if (moves) {
        const orderOf = (rows: Int32Array, h: number) => {
          const { order } = this.#placesOf(il, layer, h);
          return rows.map((row) => order[row] as number);
        };
        keptOrder.push(kept.map(orderOf));
      }
      const { graph } = this.model;
      const turn: TurnKeys = (g, keys, by) => graph.turn(g, keys, by);
      const moved = moves ? { to, turn } : undefined;
      await evict(this.executor, layer, kept, { moved, mergeWeight: method.merges });
      this.#received.adopt(evidence, kept);
    }
    this.#before = this.#count;
    if (!moves) return nextPosition;
    const by = to + 1 - nextPosition;
    this.#positions.forEach((p, i) => (this.#positions[i] = p + by));
    this.#keptOrder = keptOrder;
    this.#behind -= by;
    return to + 1;
  }

  /** The tokens that a head holds now. */
  #placesOf(il: number, layer: LayerCache, h: number): Places {
    const positions = layer.positions(h);
    const kept = this.#keptOrder[il]?.[h];
    if (kept === undefined) return { positions, order: positions };
    return { positions, order: positions.map((p, i) => kept[i] ?? p + this.#behind) };
  }

  /** Where decoded tokens do not show what budgets follow, they stay as the prompt's. */
  get #dividing(): Compression {
    const { method } = this.compression;
    if (dividesWhileDecoding(method.budget)) return this.compression;
    const budget = this.#division === undefined ? uniform : listed(this.#division);
    return { ...this.compression, method: { ...method, budget } };
  }

  /** What the last queries see of a layer's cache. */
  async #observe(il: number, layer: LayerCache, nextPosition: number): Promise<LayerEvidence> {
    const { hp } = this.model;
    const { method, options } = this.compression;
    const needs = new Set(neededWhileDecoding(method));
    const nQueries = Math.min(this.#count, this.size);
    // As they are now: evidence is asked for after the cut, too.
    const held = layer.heads.map((_, h) => this.#placesOf(il, layer, h));
    const wanted = {
      window: needs.has("window") ? Math.min(options.alpha, nQueries) : 0,
      sums: this.#summed.length > 0 ? Math.min(this.#count - this.#before, nQueries) : 0,
    };
    const group = hp.nHead / hp.nHeadKv;
    const rows = needs.has("keys") || needs.has("values");
    const turnsBack = needs.has("plain-keys");
    const read = await this.executor.run(
      (g) => {
        const reads = layer.groups().flatMap((heads) => {
          const k = this.#rowsOf(g, layer, layer.k, heads);
          const own = held.slice(heads.firstHead, heads.firstHead + heads.nHeadKv);
          const scored = (n: number, distance = 0) => {
            if (n <= 0) return undefined;
            return this.#scores(g, il, { heads, k, n, nextPosition, distance, held: own });
          };
          const window = scored(wanted.window);
          const summed = this.#summed.map((kind) =>
            scored(wanted.sums, ACCUMULATIONS[kind].distance),
          );
          const values = rows ? this.#rowsOf(g, layer, layer.v, heads) : undefined;
          if (rows) [k, values as Tensor].forEach((t) => g.output(t));
          const plain = turnsBack ? this.#turnedBack(g, layer, heads, k) : undefined;
          return Array.from({ length: heads.nHeadKv }, (_, i) => () => ({
            n: heads.length,
            window: part(window, i, heads.length * group),
            sums: summed.map((t) => part(t, i, heads.length * group)),
            keys: part(rows ? k : undefined, i, heads.length * hp.headDim),
            plainKeys: part(plain, i, heads.length * hp.headDim),
            values: part(values, i, heads.length * hp.headDim),
          }));
        });
        return () => reads.map((read) => read());
      },
      256 + 32 * hp.nHeadKv,
    );
    return {
      il,
      heads: read.map((head, h): HeadEvidence => ({
        ...{ n: head.n, group, headDim: hp.headDim },
        attention: (kind: AttentionKind) => {
          if (kind === "window") return given(head.window, kind);
          const at = (this.#summed as readonly string[]).indexOf(kind);
          const summed = given(this.#summed[at], kind);
          return this.#received.sum(summed, il, h, { n: head.n, group }, head.sums[at]);
        },
        counted: (kind) => {
          const { positions } = held[h] as Places;
          const asked = { positions, nextPosition, nNew: wanted.sums };
          return this.#received.counted(kind, il, h, asked);
        },
        keys: () => given(head.keys, "keys"),
        plainKeys: () => given(head.plainKeys, "plain-keys"),
        values: () => given(head.values, "values"),
        queries: () => given<QueryStatistics>(undefined, "queries"),
        outputErrors: () => given<OutputErrors>(undefined, "outputs"),
      })),
    };
  }

  /** The tokens held by heads of equal length, as f32 [headDim, length, nHeadKv]. */
  #rowsOf(g: InputGraph, layer: LayerCache, of: Tensor, heads: HeadGroup): Tensor {
    const { headDim } = layer;
    const row = rowBytes(layer.format.type, headDim);
    const total = heads.length * heads.nHeadKv;
    // Quantized rows become numbers by being looked up.
    const indices = new Int32Array(total);
    for (let h = 0; h < heads.nHeadKv; h++) {
      for (let i = 0; i < heads.length; i++) {
        indices[h * heads.length + i] = heads.row + h * heads.capacity + i;
      }
    }
    const all = g.view2d(of, headDim, heads.row + heads.capacity * heads.nHeadKv, row, 0);
    const held = g.getRows(all, g.constant(TYPES.i32, [total], indices));
    const rows = spread(g, held, headDim, layer.format.spread);
    return g.reshape(rows, headDim, heads.length, heads.nHeadKv);
  }

  /** Keys f32 [headDim, length, nHeadKv], turned back to position 0. */
  #turnedBack(g: InputGraph, layer: LayerCache, heads: HeadGroup, k: Tensor): Tensor {
    const { headDim } = layer;
    const total = heads.length * heads.nHeadKv;
    const back = new Int32Array(total);
    for (let h = 0; h < heads.nHeadKv; h++) {
      layer.positions(heads.firstHead + h).forEach((p, i) => (back[h * heads.length + i] = -p));
    }
    const rows = g.reshape(k, headDim, 1, total);
    return g.output(this.model.graph.turn(g, rows, g.constant(TYPES.i32, [total], back)));
  }

  /** What the last `n` queries give to the tokens of these heads: f32 [length, 1, nHead of the heads]. */
  #scores(
    g: InputGraph,
    il: number,
    { heads, k, n, nextPosition, distance, held }: ScoredQueries,
  ): Tensor {
    const { hp, graph } = this.model;
    const last = Array.from({ length: n }, (_, i) => (this.#count - n + i) % this.size);
    const of = (all: Int32Array) => Int32Array.from(last, (row) => all[row] as number);
    const places = { positions: of(this.#positions), order: of(this.#order) };
    if (places.positions.at(-1) !== nextPosition - 1) {
      throw new PyramidKVError("NATIVE", "the last decoded token's query was not kept");
    }
    const ring = this.#buffer.tensors[il] as Tensor;
    const rows = g.getRows(ring, g.constant(TYPES.i32, [n], Int32Array.from(last)));
    const queries = g.reshape(rows, hp.headDim, hp.nHead, n);
    const turned = graph.rotate(g, queries, g.constant(TYPES.i32, [n], places.positions));
    const nHead = queryHeads(heads, hp);
    const q = queriesOf(g, turned, heads, { ...hp, n });
    const ones = () => g.constant(TYPES.f32, [1, n, nHead], new Float32Array(n * nHead).fill(1));
    const scale = hp.attentionScale;
    const isWhole = distance === 0 && held.every((own) => endsWith(own.order, places.order));
    if (isWhole)
      return g.output(attentionScores(g, { k, q, ones, nPast: heads.length - n, scale }));
    const seen = visibility({ held, queries: places, distance, group: hp.nHead / hp.nHeadKv });
    const shape = [heads.length, n, nHead];
    const nPast = {
      bias: g.constant(TYPES.f32, shape, seen.bias),
      counts: g.constant(TYPES.f32, shape, seen.counts),
    };
    return g.output(attentionScores(g, { k, q, ones, nPast, scale }));
  }

  protected release(): void {
    this.#buffer[Symbol.dispose]();
  }
}

function part(tensor: Tensor | undefined, i: number, size: number): Float32Array | undefined {
  return tensor && readTensor(tensor, new Float32Array(size), i * size * 4);
}

/** What a method may ask for while decoding: `every` lets no others in. */
function given<T>(value: T | undefined, kind: string): T {
  if (value === undefined) {
    throw new PyramidKVError("USAGE", `"${kind}" is not there to rank by while decoding`);
  }
  return value;
}
