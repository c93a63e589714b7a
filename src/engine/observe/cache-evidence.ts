import type { LayerEvidence, SummedKind } from "../../compression/evidence.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import { attentionScores } from "../../ggml/operations/attention-scores.ts";
import { readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import { queryHeads } from "../../kvcache/head-runs.ts";
import type { HeadGroup, LayerCache } from "../../kvcache/layer-cache.ts";
import { queriesOf, softmaxOf } from "../../models/blocks/attention.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import { ACCUMULATIONS } from "./accumulators.ts";
import { evidenceOf } from "./evidence.ts";
import type { QueryRing } from "./query-ring.ts";
import type { Received } from "./received.ts";
import { gatherRows, plainKeys, readRows } from "./rows.ts";
import { endsWith, visibility, type Places } from "./visibility.ts";

/** A layer's cache while tokens are decoded. */
export interface CacheSeen {
  readonly model: Model;
  readonly il: number;
  readonly layer: LayerCache;
  readonly ring: QueryRing;
  /** The tokens that each head holds. */
  readonly held: readonly Places[];
  /** Position of the token to come. */
  readonly nextPosition: number;
  /** What the tokens received before. */
  readonly received: Received;
}

/** What of it is asked for. */
export interface CacheNeeds {
  /** Queries that are observed; 0: none. */
  readonly window: number;
  /** Queries whose attention is added to what tokens received before; 0: none. */
  readonly sums: number;
  readonly kinds: readonly SummedKind[];
  readonly rows: boolean;
  readonly plainKeys: boolean;
}

/** What the last decoded queries see of a layer's cache, and what it holds. */
export async function cacheEvidence(source: CacheSeen, needs: CacheNeeds): Promise<LayerEvidence> {
  const { model, il, layer, held, received } = source;
  const { nHead, nHeadKv, headDim } = model.layers[il] as ModelLayer;
  const group = nHead / nHeadKv;
  const scores = await readScores(source, needs);
  const { heads } = layer;
  const rows = (of: "k" | "v") => readRows(layer, of, heads, headDim);
  const keys = needs.rows ? await rows("k") : undefined;
  const values = needs.rows ? await rows("v") : undefined;
  const places = heads.map(({ row, length }, h) => {
    return { row, length, positions: layer.positions(h) };
  });
  const plain = needs.plainKeys ? await plainKeys(model, il, layer, places) : undefined;
  const at = model.hp.compressible.indexOf(il);
  // As they are now: evidence is asked for after the cut, too.
  const lengths = heads.map(({ length }) => length);
  return evidenceOf({
    il: at,
    headDim,
    group,
    missing: (kind) => `"${kind}" is not there to rank by while decoding`,
    heads: lengths.map((n, h) => ({
      n,
      attention: (kind) => {
        const headScores = scores[h];
        if (kind === "window") return headScores?.window;
        const i = (needs.kinds as readonly string[]).indexOf(kind);
        if (i < 0) return undefined;
        return received.sum(needs.kinds[i] as SummedKind, at, h, { n, group }, headScores?.sums[i]);
      },
      counted: (kind) => {
        const { positions } = held[h] as Places;
        const { nextPosition } = source;
        return received.counted(kind, at, h, { positions, nextPosition, nNew: needs.sums });
      },
      keys: () => keys?.[h],
      plainKeys: () => plain?.[h],
      values: () => values?.[h],
      queries: () => undefined,
      outputErrors: () => undefined,
    })),
  });
}

interface HeadScores {
  /** [n, group] */
  readonly window: Float32Array | undefined;
  /** Sums by kind: [n, group]. */
  readonly sums: readonly (Float32Array | undefined)[];
}

/** What the last queries give to the tokens of each head. */
function readScores(source: CacheSeen, needs: CacheNeeds): Promise<HeadScores[]> {
  const { model, il, layer } = source;
  const { nHead, nHeadKv } = model.layers[il] as ModelLayer;
  if (needs.window <= 0 && needs.sums <= 0) return Promise.resolve([]);
  return layer.device.run(
    (g) => {
      const reads = layer.groups().flatMap((heads) => {
        const scored = (n: number, distance: number) =>
          n > 0 ? g.output(groupScores(g, source, heads, { n, distance })) : undefined;
        const window = scored(needs.window, 0);
        const sums = needs.kinds.map((kind) => scored(needs.sums, ACCUMULATIONS[kind].distance));
        const size = (heads.length * nHead) / nHeadKv;
        return Array.from({ length: heads.nHeadKv }, (_, i) => (): HeadScores => {
          return { window: part(window, i, size), sums: sums.map((t) => part(t, i, size)) };
        });
      });
      return () => reads.map((read) => read());
    },
    256 + 32 * nHeadKv * (1 + needs.kinds.length),
  );
}

/** What the last `n` queries give to the tokens of these heads: f32 [length, 1, nHead of the heads]. */
function groupScores(
  g: InputGraph,
  source: CacheSeen,
  heads: HeadGroup,
  { n, distance }: { readonly n: number; readonly distance: number },
): Tensor {
  const { model, il, layer, ring, nextPosition } = source;
  const shape = model.layers[il] as ModelLayer;
  const { headDim, nHead, nHeadKv } = shape;
  const { queries, places } = ring.last(g, il, n, nextPosition);
  const q = queriesOf(g, queries, heads, { ...shape, n });
  const softmax = softmaxOf(g, heads, shape);
  const held = source.held.slice(heads.firstHead, heads.firstHead + heads.nHeadKv);
  const isWhole = distance === 0 && held.every((head) => endsWith(head.order, places.order));
  const nPast = heads.length - n;
  if (isWhole && layer.format.type === TYPES.f16 && layer.format.hadamard === 0) {
    const row = rowBytes(TYPES.f16, headDim);
    const size = [headDim, heads.length, heads.nHeadKv] as const;
    const k = g.view3d(layer.k, size, [row, row * heads.capacity], heads.row * row);
    return shape.operations.scores(g, { q, k, ...softmax });
  }
  const extents = held.map((_, i) => {
    return { row: heads.row + i * heads.capacity, length: heads.length };
  });
  const rows = gatherRows(g, layer, "k", extents, headDim);
  const k = g.reshape(rows, headDim, heads.length, heads.nHeadKv);
  const queryCount = queryHeads(heads, shape);
  const ones = () =>
    g.constant(TYPES.f32, [1, n, queryCount], new Float32Array(n * queryCount).fill(1));
  if (isWhole) return attentionScores(g, { k, q, ones, nPast, ...softmax });
  const view = visibility({ held, queries: places, distance, group: nHead / nHeadKv });
  const size = [heads.length, n, queryCount];
  const seenBy = {
    bias: g.constant(TYPES.f32, size, view.bias),
    counts: g.constant(TYPES.f32, size, view.counts),
  };
  return attentionScores(g, { k, q, ones, nPast: seenBy, ...softmax });
}

/** The numbers of head `i` of a tensor that has those of several. */
function part(tensor: Tensor | undefined, i: number, size: number): Float32Array | undefined {
  return tensor && readTensor(tensor, new Float32Array(size), i * size * 4);
}
