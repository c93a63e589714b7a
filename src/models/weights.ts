import pLimit from "p-limit";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import type { Device, WeightMemory } from "../ggml/device.ts";
import { MappedFile } from "../ggml/mapped-file.ts";
import { NativeOwner } from "../ggml/owner.ts";
import {
  MappedTensors,
  TensorBuffer,
  writeTensorAsync,
  type Tensor,
  type TensorSpec,
} from "../ggml/tensor-buffer.ts";
import type { GgufFile, GgufPart } from "../gguf/file.ts";
import type { TensorInfo } from "../gguf/parse.ts";
import type { ModelWeights } from "./architecture.ts";
import type { Placement } from "./placement.ts";
import type { PlannedWeight } from "./weight-plan.ts";

export interface LoadOptions {
  /** Called as bytes of weights arrive. */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** ggml's TENSOR_ALIGNMENT: its kernels may use aligned loads. */
const TENSOR_ALIGNMENT = 32;
/** Bytes per read: progress and aborts are seen this often. */
const READ_BYTES = 8 * 1024 * 1024;
/** One read at a time leaves the other cores to libllama, which reads the vocabulary meanwhile. */
const CONCURRENT_READS = 1;

/** A weight, the field it fills, of which layers (none: of the model), and the memory it goes to. */
interface PlacedWeight {
  readonly weight: PlannedWeight;
  readonly field: string;
  readonly layers: readonly number[];
  readonly memory: WeightMemory;
}

/** Weights of one part of the model that go to one memory. */
interface WeightGroup {
  readonly memory: WeightMemory;
  readonly part: number;
  readonly placed: PlacedWeight[];
}

type WeightBuffer = TensorBuffer | MappedTensors;

/** A model's weights, each in the memory where its operation runs fastest. */
export class WeightStore extends NativeOwner {
  readonly weights: ModelWeights;
  readonly #buffers: readonly WeightBuffer[];

  private constructor(buffers: readonly WeightBuffer[], weights: ModelWeights) {
    super();
    this.#buffers = buffers;
    this.weights = weights;
  }

  /** Bytes held for weights, second copies included. */
  get bytes(): number {
    return this.#buffers.reduce((sum, b) => sum + b.bytes, 0);
  }

  /** Allocates and fills all weights; after an error or abort nothing stays allocated. */
  static async load(
    placement: Placement,
    file: GgufFile,
    plan: readonly PlannedWeight[],
    nLayer: number,
    options: LoadOptions = {},
  ): Promise<WeightStore> {
    const model: Record<string, Tensor> = {};
    const layers = Array.from({ length: nLayer }, (): Record<string, Tensor> => ({}));
    const buffers: WeightBuffer[] = [];
    const reads: (() => Promise<number>)[] = [];
    try {
      for (const { memory, part, placed } of placeAll(placement, plan, nLayer)) {
        const mapped = memory.isHost ? mapWeights(file, placed, part) : undefined;
        const buffer = mapped ?? memory.allocate(placed.map(tensorSpec));
        buffers.push(buffer);
        placed.forEach(({ weight, field, layers: owners }, i) => {
          const tensor = buffer.tensors[i] as Tensor;
          if (owners.length === 0) model[field] = tensor;
          for (const il of owners) (layers[il] as Record<string, Tensor>)[field] = tensor;
          if (!(buffer instanceof TensorBuffer)) return;
          reads.push(
            ...(memory.isHost
              ? readsInto(file, weight, buffer.view(i))
              : [() => readAndRepack(file, weight, tensor)]),
          );
        });
      }
      await runReads(reads, plan, options);
    } catch (error) {
      for (const buffer of buffers) buffer[Symbol.dispose]();
      throw error;
    }
    const operations = (il?: number) =>
      (il === undefined ? placement.output : placement.device(il)).operations;
    return new WeightStore(buffers, { model, layers, operations });
  }

  protected release(): void {
    for (const buffer of this.#buffers) buffer[Symbol.dispose]();
  }
}

function tensorSpec({ weight }: PlacedWeight): TensorSpec {
  return { type: weight.info.type, shape: weight.info.shape, name: weight.info.name };
}

/**
 * Groups the weights by where they go: on the device that computes with them, to plain memory where our own kernels
 * read them, else to the first extra buffer type that takes the matmul, else to plain memory too.
 */
function placeAll(
  placement: Placement,
  plan: readonly PlannedWeight[],
  nLayer: number,
): WeightGroup[] {
  const groups: WeightGroup[] = [];
  const add = (placed: PlacedWeight) => {
    const { memory, weight } = placed;
    const { part } = weight.info;
    const found = groups.find((group) => group.memory === memory && group.part === part);
    if (found === undefined) groups.push({ memory, part, placed: [placed] });
    else found.placed.push(placed);
  };
  for (const weight of plan) {
    const { rule, field } = weight;
    for (const [device, layers] of readersOf(placement, weight, nLayer)) {
      const memory = weightMemory(device, weight);
      add({ weight, field, layers, memory });
      // Repacked rows, and those of another device, cannot be looked up: such a matrix is kept there as well.
      const isFound = memory.isPlain && device === placement.embedding;
      if (rule.rows !== true || isFound) continue;
      const rows = placement.embedding.plainMemory;
      add({ weight, field: `${field}Rows`, layers, memory: rows });
    }
  }
  return groups;
}

/** The devices that compute with a weight, and for which layers. */
function readersOf(
  placement: Placement,
  { il, rule }: PlannedWeight,
  nLayer: number,
): Map<Device, readonly number[]> {
  if (il >= 0) return new Map([[placement.device(il), [il]]]);
  if (rule.everyLayer !== true) return new Map([[placement.output, []]]);
  const readers = new Map<Device, readonly number[]>();
  for (let at = 0; at < nLayer; at++) {
    const device = placement.device(at);
    readers.set(device, [...(readers.get(device) ?? []), at]);
  }
  return readers;
}

function weightMemory(device: Device, { info, rule }: PlannedWeight): WeightMemory {
  if (rule.part !== undefined) return device.plainMemory;
  const memory = device.weightMemory({ type: info.type, shape: info.shape });
  if (memory !== undefined) return memory;
  throw new PyramidKVError("UNSUPPORTED", `${info.name}: no matmul for type ${info.type.name}`);
}

/** Plain weights where they lie in the file; undefined where it cannot be mapped or is not aligned. */
function mapWeights(
  file: GgufFile,
  placed: readonly PlacedWeight[],
  part: number,
): MappedTensors | undefined {
  const offsets = placed.map((p) => p.weight.info.offset);
  if (offsets.some((offset) => offset % TENSOR_ALIGNMENT !== 0)) return undefined;
  const { handle, size } = file.parts[part] as GgufPart;
  const mapping = MappedFile.open(handle.fd, size);
  if (mapping === undefined) return undefined;
  return new MappedTensors(mapping, size, placed.map(tensorSpec), offsets);
}

/** Reads a weight straight into its memory, in pieces. */
function readsInto(
  file: GgufFile,
  { info }: PlannedWeight,
  into: Uint8Array,
): (() => Promise<number>)[] {
  const pieces: (() => Promise<number>)[] = [];
  for (let at = 0; at < info.bytes; at += READ_BYTES) {
    const piece = into.subarray(at, Math.min(at + READ_BYTES, info.bytes));
    pieces.push(() => readFully(partOf(file, info), piece, info.offset + at));
  }
  return pieces;
}

/** Extra buffer types take a tensor whole: they change its layout as it is set. */
async function readAndRepack(
  file: GgufFile,
  { info }: PlannedWeight,
  tensor: Tensor,
): Promise<number> {
  const bytes = new Uint8Array(info.bytes);
  await readFully(partOf(file, info), bytes, info.offset);
  await writeTensorAsync(tensor, bytes);
  return info.bytes;
}

function partOf({ parts }: GgufFile, { part }: TensorInfo): GgufPart {
  return parts[part] as GgufPart;
}

async function readFully(file: GgufPart, into: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) {
      throw new PyramidKVError("BAD_FILE", "the file became shorter while it was read");
    }
    done += bytesRead;
  }
  return into.length;
}

async function runReads(
  reads: readonly (() => Promise<number>)[],
  plan: readonly PlannedWeight[],
  { onProgress, signal }: LoadOptions,
): Promise<void> {
  const total = plan.reduce((sum, w) => sum + w.info.bytes, 0);
  const limit = pLimit(CONCURRENT_READS);
  let loaded = 0;
  let failure: unknown;
  // All reads end before this returns: memory must not be freed under one that is still under way.
  await Promise.all(
    reads.map((read) =>
      limit(async () => {
        if (failure !== undefined) return;
        try {
          throwIfAborted(signal);
          loaded = Math.min(total, loaded + (await read()));
          onProgress?.(loaded, total);
        } catch (error) {
          failure = error;
        }
      }),
    ),
  );
  if (failure !== undefined) throw failure as Error;
  onProgress?.(total, total);
}
