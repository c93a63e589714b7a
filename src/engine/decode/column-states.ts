import type { Device } from "../../ggml/device.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { Graph } from "../../ggml/graph.ts";
import {
  tensorShape,
  tensorStrides,
  type Tensor,
  type TensorBuffer,
} from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerState } from "../../kvcache/layer-state.ts";
import type { ModelLayer } from "../../models/model.ts";
import type { Sequence } from "./sequence.ts";

/**
 * The states of graphs' columns in some layers: copied in before a step, and back once somebody asks for them or another
 * sequence takes the column. Graphs of different sizes use the first columns of the same memory.
 */
export class ColumnStates extends NativeOwner {
  readonly #buffer: TensorBuffer | undefined;
  /** The places in the buffer of a layer's tensors. */
  readonly #places = new Map<number, number[]>();
  readonly #dimensions: number[] = [];
  /** Whose states the columns hold now. */
  readonly #held: (readonly LayerState[] | undefined)[] = [];

  constructor(
    device: Device,
    /** By their numbers; those that are not recurrent have none. */
    layers: readonly (readonly [number, ModelLayer])[],
    /** The most that a graph may have. */
    readonly columns: number,
  ) {
    super();
    const specs = layers.flatMap(([il, { recurrence }]) => {
      if (recurrence === undefined) return [];
      const { states } = recurrence;
      const first = [...this.#places.values()].flat().length;
      const places = states.map((_, i) => first + i);
      this.#places.set(il, places);
      this.#dimensions.push(...states.map((shape) => shape.length + 1));
      return states.map((shape) => ({ type: TYPES.f32, shape: [...shape, columns] }));
    });
    this.#buffer = specs.length === 0 ? undefined : device.allocate(specs);
  }

  /** A layer's tensors for a graph of `n` columns, which are last in their shapes. */
  tensors(g: Graph, il: number, n: number): Tensor[] {
    return (this.#places.get(il) ?? []).map((i) => {
      const whole = this.#buffer?.tensors[i] as Tensor;
      if (n === this.columns) return whole;
      const [ne0, ne1, ne2] = tensorShape(whole) as [number, number, number];
      const [, nb1, nb2, nb3] = tensorStrides(whole) as [number, number, number, number];
      const hasThree = this.#dimensions[i] === 3;
      return hasThree
        ? g.view3d(whole, [ne0, ne1, n], [nb1, nb2], 0)
        : g.view4d(whole, [ne0, ne1, ne2, n], [nb1, nb2, nb3], 0);
    });
  }

  /** Whether none of the layers is recurrent. */
  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  /**
   * Puts the sequences' states into the first columns of a graph of `n`, which changes all of them: who was there before has
   * its state back, but a sequence that was in its column already stays.
   */
  load(sequences: readonly Sequence[], n: number): void {
    for (let column = 0; column < n; column++) {
      const states = sequences[column] && this.#statesOf(sequences[column] as Sequence);
      if (states !== undefined && this.#holds(column, states)) continue;
      this.#vacate(column);
      if (states === undefined) continue;
      this.#eachTensor(column, states, (inColumn, state) => inColumn.set(state));
    }
  }

  /** The states stay in their columns until somebody asks for them. */
  keep(sequences: readonly Sequence[]): void {
    for (const [column, sequence] of sequences.entries()) {
      const states = this.#statesOf(sequence);
      this.#held[column] = states;
      for (const state of states) state.lend(() => this.#vacate(column));
    }
  }

  /** Gives all states back. */
  vacate(): void {
    for (const column of this.#held.keys()) this.#vacate(column);
  }

  #holds(column: number, states: readonly LayerState[]): boolean {
    return states.length > 0 && this.#held[column]?.[0] === states[0];
  }

  #vacate(column: number): void {
    const held = this.#held[column];
    if (held === undefined) return;
    this.#held[column] = undefined;
    // Those that were disposed of need nothing back; asking the others brings none back twice.
    if (held.some((state) => state.disposed)) return;
    this.#eachTensor(column, held, (inColumn, state) => state.set(inColumn));
  }

  #statesOf({ cache }: Sequence): LayerState[] {
    return [...this.#places.keys()].map((il) => cache.state(il) as LayerState);
  }

  #eachTensor(
    column: number,
    states: readonly LayerState[],
    move: (inColumn: Uint8Array, state: Uint8Array) => void,
  ): void {
    for (const [at, places] of [...this.#places.values()].entries()) {
      places.forEach((place, i) => {
        const state = (states[at] as LayerState).view(i);
        const all = (this.#buffer as TensorBuffer).view(place);
        move(all.subarray(column * state.length, (column + 1) * state.length), state);
      });
    }
  }

  protected release(): void {
    this.#buffer?.[Symbol.dispose]();
  }
}
