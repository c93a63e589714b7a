import { NativeOwner } from "../ggml/owner.ts";
import type { KvFormat } from "./kv-format.ts";
import type { LayerCache } from "./layer-cache.ts";
import { MemoryLedger } from "./ledger.ts";
import { fullBytes, type KvShape } from "./token-bytes.ts";

/** The compressed cache of one sequence: one `LayerCache` a layer, each with its own lengths. */
export class KvCache extends NativeOwner {
  readonly ledger = new MemoryLedger();
  readonly #layers: LayerCache[] = [];
  readonly #staged: LayerCache[] = [];

  constructor(
    readonly shape: KvShape,
    readonly format: KvFormat,
  ) {
    super();
  }

  /** The layers filled so far: all of them after a prefill, none before. */
  get layers(): readonly LayerCache[] {
    return this.#layers;
  }

  /** Bytes allocated for the layers now, padding and room to append included. */
  get bytes(): number {
    return this.#layers.reduce((sum, l) => sum + l.bytes, 0);
  }

  /** Tokens held per kv head of the layers that methods act on, averaged. */
  get meanKept(): number {
    const layers = this.#layers.filter(({ window }) => window === undefined);
    return layers.reduce((sum, l) => sum + l.kept, 0) / Math.max(1, layers.length);
  }

  /** Bytes that a cache of `n` tokens would hold with nothing evicted but what windows forget, and no padding. */
  fullBytes(n: number): number {
    return fullBytes(this.shape, n, this.format.type);
  }

  /** Holds a new layer until all of them are there: the cache is replaced whole or not at all. */
  stage(il: number, layer: LayerCache): void {
    this.assertAlive();
    this.ledger.add(layer.bytes);
    const old = this.#staged[il];
    if (old !== undefined) this.#free(old);
    this.#staged[il] = layer;
  }

  /** A layer that waits for the others. */
  stagedLayer(il: number): LayerCache | undefined {
    return this.#staged[il];
  }

  /** Puts the staged layers in place and frees those they replace. */
  commit(): void {
    this.assertAlive();
    const staged = this.#staged.splice(0);
    this.clear();
    this.#layers.push(...staged);
  }

  /** Frees the staged layers: the cache stays as it was. */
  rollBack(): void {
    for (const layer of this.#staged.splice(0)) this.#free(layer);
  }

  /** Puts layers in the places of others, by their number, and frees those: until then all of them are held. */
  setLayers(layers: ReadonlyMap<number, LayerCache>): void {
    this.assertAlive();
    for (const layer of layers.values()) this.ledger.add(layer.bytes);
    for (const [il, layer] of layers) {
      const old = this.#layers[il];
      if (old !== undefined) this.#free(old);
      this.#layers[il] = layer;
    }
  }

  /** Frees every layer. */
  clear(): void {
    for (const layer of this.#layers.splice(0)) this.#free(layer);
  }

  #free(layer: LayerCache): void {
    this.ledger.remove(layer.bytes);
    layer[Symbol.dispose]();
  }

  protected release(): void {
    this.rollBack();
    this.clear();
  }
}
