import type { Device } from "../../ggml/device.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { Tensor, TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerState } from "../../kvcache/layer-state.ts";
import type { ModelLayer } from "../../models/model.ts";
import type { Sequence } from "./sequence.ts";

/** The states of a graph's columns in some layers: copied in before a step, and back to their sequences behind it. */
export class ColumnStates extends NativeOwner {
  readonly #buffer: TensorBuffer | undefined;
  /** The places in the buffer of a layer's tensors. */
  readonly #places = new Map<number, number[]>();

  constructor(
    device: Device,
    /** By their numbers; those that are not recurrent have none. */
    layers: readonly (readonly [number, ModelLayer])[],
    columns: number,
  ) {
    super();
    const specs = layers.flatMap(([il, { recurrence }]) => {
      if (recurrence === undefined) return [];
      const { states } = recurrence;
      const first = [...this.#places.values()].flat().length;
      const places = states.map((_, i) => first + i);
      this.#places.set(il, places);
      return states.map((shape) => ({ type: TYPES.f32, shape: [...shape, columns] }));
    });
    this.#buffer = specs.length === 0 ? undefined : device.allocate(specs);
  }

  /** A layer's tensors, the columns last in their shapes. */
  tensors(il: number): Tensor[] {
    return (this.#places.get(il) ?? []).map((i) => this.#buffer?.tensors[i] as Tensor);
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
