import pLimit from "p-limit";
import type { Device } from "../../ggml/device.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { Model } from "../../models/model.ts";
import { KernelGraph } from "./kernel-graph.ts";
import { MaskedGraph } from "./masked-graph.ts";
import type { DecodeGraph, DecodeStep, Sequence } from "./sequence.ts";

/** Sequences that may decode together. */
export const LARGEST_BATCH = 128;

/** Graphs of ggml's operations that are kept, each for its own sequences. */
const MASKED_KEPT = 8;

/** A sequence as it decodes. */
export interface Decoding {
  readonly sequence: Sequence;
  /** Checks a token and makes room for it. */
  beginStep(token: number): Promise<DecodeStep>;
  /** Goes on behind a token that was appended. */
  stepped(): void;
  /** Compresses again where it is time. */
  endStep(started: number, computeMs: number): Promise<void>;
}

/** Decodes sequences, one or many at a time, and keeps the graphs for it. */
export class Decoder extends NativeOwner {
  /** By columns: powers of two. */
  readonly #kernelGraphs = new Map<number, KernelGraph>();
  /** The latest used last. */
  #maskedGraphs: MaskedGraph[] = [];
  /** One step at a time: it is written into a graph that others use, too. */
  readonly #queue = pLimit(1);
  readonly #isOurs: boolean;
  #built = 0;

  constructor(
    private readonly model: Model,
    private readonly device: Device,
  ) {
    super();
    this.#isOurs = model.layers.every(({ kernels }) => kernels !== undefined);
  }

  /** Graphs built so far. */
  get built(): number {
    return this.#built;
  }

  /** One step of all of them, a token each; nobody else uses them meanwhile. */
  step(members: readonly Decoding[], tokens: readonly number[]): Promise<void> {
    return this.#queue(async () => {
      this.assertAlive();
      const started = performance.now();
      const steps: DecodeStep[] = [];
      for (const [i, member] of members.entries()) {
        steps.push(await member.beginStep(tokens[i] as number));
      }
      const computeMs = await this.#graphFor(steps).step(steps);
      // All have their token, whatever happens to one of them from here on.
      for (const member of members) member.stepped();
      for (const member of members) await member.endStep(started, computeMs);
    });
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
    const known = this.#kernelGraphs.get(columns);
    if (known !== undefined) return known;
    const graph = new KernelGraph(this.model, this.device, columns);
    this.#built++;
    this.#kernelGraphs.set(columns, graph);
    return graph;
  }

  #maskedGraph(sequences: readonly Sequence[]): MaskedGraph {
    const at = this.#maskedGraphs.findIndex((graph) => graph.fits(sequences));
    const [known] = at < 0 ? [] : this.#maskedGraphs.splice(at, 1);
    if (known !== undefined) {
      this.#maskedGraphs.push(known);
      return known;
    }
    // What reads these sequences is out of date.
    for (const sequence of sequences) this.forget(sequence);
    while (this.#maskedGraphs.length >= MASKED_KEPT) this.#maskedGraphs.shift()?.[Symbol.dispose]();
    const graph = new MaskedGraph(this.model, this.device, sequences);
    this.#built++;
    this.#maskedGraphs.push(graph);
    return graph;
  }

  protected release(): void {
    for (const graph of this.#kernelGraphs.values()) graph[Symbol.dispose]();
    for (const graph of this.#maskedGraphs) graph[Symbol.dispose]();
  }
}
