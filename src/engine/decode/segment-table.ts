import { fromFloat } from "../../ggml/kernels/from-float.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { slidOut } from "../../kvcache/layer-cache.ts";
import type { ModelLayer } from "../../models/model.ts";
import type { Stage } from "../../models/placement.ts";
import type { DecodeStep } from "./sequence.ts";

/** 32-bit words of a segment and of a column (`pkv_segment` and `pkv_column` of native/src/ops.h). */
const SEGMENT_WORDS = 6;
const COLUMN_WORDS = 8;
/** Segments of a head: its rows lie in one place. */
export const SEGMENTS = 1;

/**
 * Where the kv heads of a step's sequences lie, layer by layer, as the decode kernel reads it: written before every step,
 * so that sequences may come, leave and move.
 */
export class SegmentTable {
  /** Words of the table: for each layer its segments, then its columns. */
  readonly words: number;
  readonly #layers: readonly {
    readonly segments: number;
    readonly columns: number;
    /** Keys that a thread takes at a time. */
    readonly part: number;
  }[];

  constructor(
    private readonly stage: Pick<Stage, "first" | "end">,
    private readonly layers: readonly Pick<ModelLayer, "nHeadKv" | "operations" | "sharesKvOf">[],
    private readonly columns: number,
  ) {
    let words = 0;
    this.#layers = layers.slice(stage.first, stage.end).map(({ nHeadKv, operations }) => {
      const segments = words;
      words += SEGMENT_WORDS * SEGMENTS * nHeadKv * columns;
      const first = words;
      words += COLUMN_WORDS * columns;
      return { segments, columns: first, part: operations.decode?.part ?? 1 };
    });
    this.words = words;
  }

  /** Bytes from the table's start to a layer's segments, i64 [3, SEGMENTS, nHeadKv · n]. */
  segmentsOf(il: number): number {
    return (this.#layers[il - this.stage.first]?.segments ?? 0) * 4;
  }

  /** Bytes from the table's start to a layer's columns, i64 [4, n]. */
  columnsOf(il: number): number {
    return (this.#layers[il - this.stage.first]?.columns ?? 0) * 4;
  }

  /**
   * Writes the table.
   *
   * @returns of each layer, how many parts its heads have that threads take in turn
   */
  write(table: Uint32Array, steps: readonly DecodeStep[]): number[] {
    return this.#layers.map((at, i) => {
      const il = this.stage.first + i;
      let parts = 0;
      let segment = at.segments;
      steps.forEach(({ cache, ring }, c) => {
        const layer = cache.layer(this.layers[il]?.sharesKvOf ?? il);
        if (layer === undefined) return;
        parts += writeHeads(table, segment, layer, at.part);
        segment += SEGMENT_WORDS * SEGMENTS * layer.heads.length;
        const { type, hadamard } = layer.format;
        const column = at.columns + COLUMN_WORDS * c;
        put(table, column, type.id);
        put(table, column + 2, type === TYPES.f16 ? 0 : writerOf(type));
        put(table, column + 4, hadamard);
        put(table, column + 6, ring?.nextAddress(il) ?? 0);
      });
      return parts;
    });
  }
}

function writeHeads(table: Uint32Array, first: number, layer: LayerCache, part: number): number {
  const { k, v } = layer.addresses;
  const bytes = rowBytes(layer.format.type, layer.headDim);
  let [at, parts] = [first, 0];
  for (const { row, length } of layer.heads) {
    const unseen = slidOut(length + 1, layer.window);
    const offset = (row + unseen) * bytes;
    put(table, at, k + offset);
    put(table, at + 2, v + offset);
    put(table, at + 4, length - unseen);
    at += SEGMENT_WORDS * SEGMENTS;
    parts += Math.floor((length - unseen) / part) + 1;
  }
  return parts;
}

/** A whole number of up to 53 bits as two words. */
function put(table: Uint32Array, at: number, value: number): void {
  table[at] = value;
  table[at + 1] = value / 2 ** 32;
}

const writers = new Map<number, number>();

/** The address of ggml's function that writes rows of a type. */
function writerOf(type: LayerCache["format"]["type"]): number {
  const writer = writers.get(type.id) ?? Number(fromFloat(type));
  writers.set(type.id, writer);
  return writer;
}
