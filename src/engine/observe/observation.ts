import type { EvidenceKind } from "../../compression/evidence.ts";
import type { Device } from "../../ggml/device.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Summed } from "../../ggml/operations/nodes.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import type { HeadRun } from "../../kvcache/head-runs.ts";
import type { Model } from "../../models/model.ts";
import { ACCUMULATIONS, type AccumulatedKind } from "./accumulators.ts";
import type { Attended, Chunk, LayerObserver, ReadLayer } from "./layer-observer.ts";
import { QuerySums } from "./query-statistics.ts";
import { Samples } from "./samples.ts";
import { Sums } from "./sums.ts";
import { neededBy, type ObservationSize, type PrefillTarget } from "./target.ts";
import { Windows } from "./windows.ts";

/**
 * What a layer's queries are watched for, as the methods at hand ask: the last of them, sums over all of
 * them, their statistics, samples. Reused from layer to layer.
 */
export class Observation extends NativeOwner implements LayerObserver {
  readonly windows: Windows;
  readonly sums: Sums;
  readonly querySums: QuerySums | undefined;
  readonly samples: Samples | undefined;
  #layer: ReadLayer | undefined;

  constructor(
    device: Device,
    model: Model,
    targets: readonly PrefillTarget[],
    size: ObservationSize,
  ) {
    super();
    const { hp } = model;
    const needs = new Set<EvidenceKind>(targets.flatMap(neededBy));
    const kinds = (Object.keys(ACCUMULATIONS) as AccumulatedKind[]).filter((k) => needs.has(k));
    const made: Disposable[] = [];
    const keep = <T extends Disposable>(part: T): T => {
      made.push(part);
      return part;
    };
    try {
      this.windows = keep(new Windows(device, hp, targets, size.lengths));
      this.sums = keep(new Sums(device, model, kinds, size));
      if (needs.has("queries")) this.querySums = keep(new QuerySums(device, hp));
      if (needs.has("outputs")) this.samples = keep(new Samples(device, hp, size.lengths.prompt));
    } catch (error) {
      for (const part of made) part[Symbol.dispose]();
      throw error;
    }
  }

  begin(layer: ReadLayer): void {
    this.assertAlive();
    this.#layer = layer;
    this.windows.begin(layer);
    this.sums.begin(layer);
    this.querySums?.reset();
  }

  /** The layer that is observed. */
  get layer(): ReadLayer {
    return this.#layer as ReadLayer;
  }

  onQueries(g: InputGraph, q: Tensor, chunk: Chunk): void {
    if (chunk.of === "prompt") this.querySums?.add(g, q, chunk);
  }

  onRotated(g: InputGraph, q: Tensor, chunk: Chunk): void {
    this.windows.onRotated(g, q, chunk);
    this.sums.onRotated(g, q, chunk);
  }

  alongside(g: InputGraph, run: HeadRun, chunk: Chunk, nKv: number): Summed {
    return this.sums.alongside(g, run, chunk, nKv);
  }

  wantsAttended(chunk: Chunk): boolean {
    return this.samples !== undefined && chunk.of === "prompt";
  }

  onAttended(g: InputGraph, attended: Attended, chunk: Chunk): void {
    if (this.wantsAttended(chunk)) this.samples?.capture(g, attended, chunk);
  }

  onChunk(g: InputGraph, chunk: Chunk): () => void {
    return this.windows.onChunk(g, chunk);
  }

  async afterChunk(chunk: Chunk): Promise<void> {
    await this.sums.afterChunk(chunk);
  }

  nodesPerHead(chunk: Chunk): number {
    return this.windows.nodesPerHead() + this.sums.nodesPerHead(chunk);
  }

  protected release(): void {
    this.windows[Symbol.dispose]();
    this.sums[Symbol.dispose]();
    this.querySums?.[Symbol.dispose]();
    this.samples?.[Symbol.dispose]();
  }
}
