import { NativeOwner } from "../ggml/owner.ts";
import type { KvFormat } from "./kv-format.ts";
import { LayerCache } from "./layer-cache.ts";
import type { LayerState } from "./layer-state.ts";
import { MemoryLedger } from "./ledger.ts";
import { fullBytes, type KvShape } from "./token-bytes.ts";

/** What a layer holds of a sequence. */
export type LayerMemory = LayerCache | LayerState;

/**
 * The compressed cache of one sequence: a `LayerCache` for each layer that attends, each with its own lengths, and a
 * `LayerState` for each recurrent one.
 */
export class KvCache extends NativeOwner {
  readonly ledger = new MemoryLedger();
  /** By the layers' numbers. */
  readonly #held = new Map<number, LayerMemory>();
  readonly #staged = new Map<number, LayerMemory>();

  constructor(
    readonly shape: KvShape,
    readonly format: KvFormat,
  ) {
    super();
  }

  /** Keys and values of the layers that attend, in their order: of all of them after a prefill, of none before. */
  get layers(): readonly LayerCache[] {
    return [...this.#held.values()].filter((held) => held instanceof LayerCache);
  }

  /** What layer `il` holds; nothing before anything was read. */
  held(il: number): LayerMemory | undefined {
    return this.#held.get(il);
  }

  /** Keys and values of layer `il`; none where it does not attend, or nothing was read. */
  layer(il: number): LayerCache | undefined {
    const held = this.held(il);
    return held instanceof LayerCache ? held : undefined;
  }

  /** The state of layer `il`; none where it is not recurrent, or nothing was read. */
  state(il: number): LayerState | undefined {
    const held = this.held(il);
    return held instanceof LayerCache ? undefined : held;
  }

  /** The numbers of the layers that attend, as in `layers`. */
  get attending(): number[] {
    return [...this.#held.keys()].filter((il) => this.layer(il) !== undefined);
  }

  /** Whether nothing was read. */
  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  /** Bytes allocated for the layers now, padding and room to append included. */
  get bytes(): number {
    return sumOfBytes(this.#held.values());
  }

  /** Bytes among these of the recurrent layers' states. */
  get stateBytes(): number {
    return this.bytes - sumOfBytes(this.layers);
  }

  /** Tokens held per kv head of the layers that methods act on, averaged. */
  get meanKept(): number {
    const layers = this.layers.filter(({ window }) => window === undefined);
    return layers.reduce((sum, l) => sum + l.kept, 0) / Math.max(1, layers.length);
  }

  /** Bytes that a cache of `n` tokens would hold with nothing evicted but what windows forget, and no padding. */
  fullBytes(n: number): number {
    return fullBytes(this.shape, n, this.format.type);
  }

  /** Holds a new layer until all of them are there: the cache is replaced whole or not at all. */
  stage(il: number, layer: LayerMemory): void {
    this.assertAlive();
    this.ledger.add(layer.bytes);
    const old = this.#staged.get(il);
    if (old !== undefined) this.#free(old);
    this.#staged.set(il, layer);
  }

  /** A layer that waits for the others. */
  stagedLayer(il: number): LayerCache | undefined {
    const staged = this.#staged.get(il);
    return staged instanceof LayerCache ? staged : undefined;
  }

  /** Puts the staged layers in place and frees those they replace. */
  commit(): void {
    this.assertAlive();
    this.clear();
    for (const [il, layer] of this.#staged) this.#held.set(il, layer);
    this.#staged.clear();
  }

  /** Frees the staged layers: the cache stays as it was. */
  rollBack(): void {
    for (const layer of this.#staged.values()) this.#free(layer);
    this.#staged.clear();
  }

  /** Puts layers in the places of others, by their number, and frees those: until then all of them are held. */
  setLayers(layers: ReadonlyMap<number, LayerCache>): void {
    this.assertAlive();
    for (const layer of layers.values()) this.ledger.add(layer.bytes);
    for (const [il, layer] of layers) {
      const old = this.#held.get(il);
      if (old !== undefined) this.#free(old);
      this.#held.set(il, layer);
    }
  }

  /** Frees every layer. */
  clear(): void {
    for (const layer of this.#held.values()) this.#free(layer);
    this.#held.clear();
  }

  #free(layer: LayerMemory): void {
    this.ledger.remove(layer.bytes);
    layer[Symbol.dispose]();
  }

  protected release(): void {
    this.rollBack();
    this.clear();
  }
}

function sumOfBytes(layers: Iterable<LayerMemory>): number {
  let sum = 0;
  for (const { bytes } of layers) sum += bytes;
  return sum;
}
