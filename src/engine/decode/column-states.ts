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
 * The states of graphs' columns in some layers: copied in before a step, and back to their sequences behind it. Graphs of
 * different sizes use the first columns of the same memory.
 */
export class ColumnStates extends NativeOwner {
  readonly #buffer: TensorBuffer | undefined;
  /** The places in the buffer of a layer's tensors. */
  readonly #places = new Map<number, number[]>();
  readonly #dimensions: number[] = [];

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

  load(sequences: readonly Sequence[]): void {
    this.#eachState(sequences, (column, state) => column.set(state));
  }

  store(sequences: readonly Sequence[]): void {
    this.#eachState(sequences, (column, state) => state.set(column));
  }

  #eachState(
    sequences: readonly Sequence[],
    move: (column: Uint8Array, state: Uint8Array) => void,
  ): void {
    for (const [il, places] of this.#places) {
      places.forEach((place, i) => {
        const columns = (this.#buffer as TensorBuffer).view(place);
        sequences.forEach(({ cache }, c) => {
          const state = (cache.state(il) as LayerState).view(i);
          move(columns.subarray(c * state.length, (c + 1) * state.length), state);
        });
      });
    }
  }

  protected release(): void {
    this.#buffer?.[Symbol.dispose]();
  }
}
