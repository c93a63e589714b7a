import { NativeOwner } from "../../ggml/owner.ts";
import { areOurs, type Model } from "../../models/model.ts";
import type { Stage } from "../../models/placement.ts";
import { ColumnStates } from "./column-states.ts";
import { KernelGraph } from "./kernel-graph.ts";
import { MaskedGraph } from "./masked-graph.ts";
import type { DecodeGraph, DecodeStep, Sequence, StageData } from "./sequence.ts";

/** Graphs of ggml's operations that are kept, each for its own sequences. */
const MASKED_KEPT = 8;

/** Decodes through the layers of one device, and keeps the graphs for it. */
export class StageDecoder extends NativeOwner {
  /** Graphs by their number of columns, a power of two. */
  readonly #kernelGraphs = new Map<number, KernelGraph>();
  /** Those of the largest of these graphs, which the others use, too. */
  #states: ColumnStates | undefined;
  /** The latest used last. */
  #maskedGraphs: MaskedGraph[] = [];
  readonly #isOurs: boolean;
  #built = 0;

  constructor(
    private readonly model: Model,
    private readonly stage: Stage,
  ) {
    super();
    const { device, first, end } = stage;
    this.#isOurs = device.hasKernels && areOurs(model.layers.slice(first, end));
  }

  /** Graphs built so far. */
  get built(): number {
    return this.#built;
  }

  /** Builds what a step of these sequences needs, if it is not there: what may fail does so before anything moved on. */
  prepare(sequences: readonly Sequence[]): void {
    this.assertAlive();
    this.#graphFor(sequences);
  }

  /** @returns milliseconds spent inside ggml */
  step(steps: readonly DecodeStep[], data: StageData): Promise<number> {
    this.assertAlive();
    return this.#graphFor(steps).step(steps, data);
  }

  /** Frees the graphs that only this sequence used. */
  forget(sequence: Sequence): void {
    const [kept, forgotten] = [[] as MaskedGraph[], [] as MaskedGraph[]];
    for (const graph of this.#maskedGraphs) (graph.reads(sequence) ? forgotten : kept).push(graph);
    this.#maskedGraphs = kept;
    for (const graph of forgotten) graph[Symbol.dispose]();
  }

  #graphFor(sequences: readonly Sequence[]): DecodeGraph {
    return this.#isOurs ? this.#kernelGraph(sequences.length) : this.#maskedGraph(sequences);
  }

  #kernelGraph(n: number): KernelGraph {
    const columns = 2 ** Math.ceil(Math.log2(n));
    const found = this.#kernelGraphs.get(columns);
    if (found !== undefined) return found;
    const graph = new KernelGraph(this.model, this.stage, columns, this.#statesFor(columns));
    this.#built++;
    this.#kernelGraphs.set(columns, graph);
    return graph;
  }

  /** States of at least so many columns: where there were fewer, the graphs that used those go with them. */
  #statesFor(columns: number): ColumnStates {
    if (this.#states !== undefined && this.#states.columns >= columns) return this.#states;
    const { first, end, device } = this.stage;
    const layers = this.model.layers
      .slice(first, end)
      .map((layer, i) => [first + i, layer] as const);
    const states = new ColumnStates(device, layers, columns);
    this.#states?.vacate();
    if (this.#states?.isEmpty === false) this.#freeKernelGraphs();
    this.#states?.[Symbol.dispose]();
    this.#states = states;
    return states;
  }

  #freeKernelGraphs(): void {
    for (const graph of this.#kernelGraphs.values()) graph[Symbol.dispose]();
    this.#kernelGraphs.clear();
  }

  #maskedGraph(sequences: readonly Sequence[]): MaskedGraph {
    const at = this.#maskedGraphs.findIndex((graph) => graph.fits(sequences));
    const [found] = at < 0 ? [] : this.#maskedGraphs.splice(at, 1);
    if (found !== undefined) {
      this.#maskedGraphs.push(found);
      return found;
    }
    // What reads these sequences is out of date.
    for (const sequence of sequences) this.forget(sequence);
    while (this.#maskedGraphs.length >= MASKED_KEPT) this.#maskedGraphs.shift()?.[Symbol.dispose]();
    const graph = new MaskedGraph(this.model, this.stage, sequences);
    this.#built++;
    this.#maskedGraphs.push(graph);
    return graph;
  }

  protected release(): void {
    this.#freeKernelGraphs();
    this.#states?.vacate();
    this.#states?.[Symbol.dispose]();
    for (const graph of this.#maskedGraphs) graph[Symbol.dispose]();
  }
}
