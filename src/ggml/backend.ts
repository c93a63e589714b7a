import { PyramidKVError } from "../errors.ts";
import { callAsync, koffi, type Pointer } from "./ffi.ts";
import type { Graph } from "./graph.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";
import { newTensor, TENSOR_OFFSETS, type BufferType, type TensorSpec } from "./tensor-buffer.ts";
import { TYPES } from "./types.ts";

const DEVICE_TYPE_CPU = 0;

/** The CPU device with its threads: allocates, supports, computes. One graph runs at a time. */
export class Backend extends NativeOwner {
  /** Plain memory of the device. */
  readonly bufferType: BufferType;
  /** Buffer types that repack weights for faster matmuls (AMX, CPU_REPACK), best first. */
  readonly extraBufferTypes: readonly BufferType[];
  readonly #device: Pointer;
  readonly #handle: Pointer;
  readonly #threadPool: Pointer | null;

  constructor(threads: number) {
    super();
    const { ggml, registry } = native();
    const device = registry.deviceByType(DEVICE_TYPE_CPU);
    const handle = device === null ? null : ggml.deviceInit(device, null);
    if (device === null || handle === null) {
      throw new PyramidKVError("NATIVE", "ggml found no variant that runs on this CPU");
    }
    this.#device = device;
    this.#handle = handle;
    this.bufferType = ggml.defaultBufferType(handle);
    this.extraBufferTypes = this.#readExtraBufferTypes();
    this.#callProc("ggml_backend_set_n_threads", "void set_n_threads(void*,int)", handle, threads);
    this.#threadPool = this.#startThreads(threads);
  }

  /** The CPU's own name for itself. */
  get description(): string {
    return native().ggml.deviceDescription(this.#device);
  }

  /** Runs an allocated graph off the event loop. */
  async compute(graph: Graph): Promise<void> {
    this.assertAlive();
    const { ggml } = native();
    const status = await callAsync(ggml.graphCompute, this.#handle, graph.handle);
    if (status !== 0) throw new PyramidKVError("NATIVE", `ggml stopped with status ${status}`);
  }

  /** Whether `weights × f32` runs on this device from memory of type `bufferType`. */
  supportsMulMat(weights: TensorSpec, bufferType: BufferType): boolean {
    const { ggml } = native();
    const context = ggml.init({
      mem_size: ggml.tensorOverhead() * 8,
      mem_buffer: null,
      no_alloc: true,
    });
    // The question is asked as llama.cpp does: a tensor with an empty buffer of that type.
    const buffer = ggml.bufferTypeAlloc(bufferType, 0);
    try {
      const w = newTensor(context, weights);
      koffi.encode(w, TENSOR_OFFSETS.buffer, "void*", buffer);
      const [k = 1, , experts = 1] = weights.shape;
      const isExperts = weights.shape.length === 3;
      const x = newTensor(context, { type: TYPES.f32, shape: isExperts ? [k, 1, 512] : [k, 512] });
      const op = isExperts
        ? ggml.mulMatId(
            context,
            w,
            x,
            newTensor(context, { type: TYPES.i32, shape: [Math.min(2, experts), 512] }),
          )
        : ggml.mulMat(context, w, x);
      return ggml.deviceSupportsOp(this.#device, op);
    } finally {
      if (buffer !== null) ggml.bufferFree(buffer);
      ggml.free(context);
    }
  }

  #readExtraBufferTypes(): BufferType[] {
    const list = this.#callProc(
      "ggml_backend_dev_get_extra_bufts",
      "void* get_extra(void*)",
      this.#device,
    );
    const types: BufferType[] = [];
    if (list === null) return types;
    for (let i = 0; ; i++) {
      const entry = koffi.decode(list, i * 8, "void*") as BufferType | null;
      if (entry === null) return types;
      types.push(entry);
    }
  }

  /**
   * Keeps the worker threads alive between graphs. ggml's default starts new ones for each graph, and
   * on a busy machine a new thread may wait a scheduler's tick (4 ms here) before it runs at all.
   */
  #startThreads(threads: number): Pointer | null {
    if (threads === 1) return null;
    const params = new Uint8Array(THREADPOOL_PARAMS_BYTES);
    native().ggml.threadpoolParamsInit(params, threads);
    new DataView(params.buffer).setUint32(THREADPOOL_POLL_OFFSET, POLL_LEVEL, true);
    const pool = this.#callProc("ggml_threadpool_new", "void* threadpool_new(const void*)", params);
    if (pool === null) return null;
    this.#callProc(
      "ggml_backend_cpu_set_threadpool",
      "void set_threadpool(void*,void*)",
      this.#handle,
      pool,
    );
    return pool;
  }

  /** Calls a function that only the backend's registry exposes; null where it has none. */
  #callProc(name: string, prototype: string, ...args: unknown[]): Pointer | null {
    const { ggml } = native();
    const proc = ggml.registryProc(ggml.deviceRegistry(this.#device), name);
    if (proc === null) return null;
    prototypes.set(name, prototypes.get(name) ?? koffi.proto(prototype));
    return koffi.call(proc, prototypes.get(name) as string, ...args) as Pointer | null;
  }

  protected release(): void {
    native().ggml.backendFree(this.#handle);
    if (this.#threadPool !== null) {
      this.#callProc("ggml_threadpool_free", "void threadpool_free(void*)", this.#threadPool);
    }
  }
}

/** `struct ggml_threadpool_params` (ggml.h): a mask of 512 booleans, n_threads, priority, poll, … */
const THREADPOOL_PARAMS_BYTES = 528;
const THREADPOOL_POLL_OFFSET = 520;
/** How long idle workers spin before they sleep, 0 to 100: 1 is 2 to 3 ms, which bridges the gap between graphs. */
const POLL_LEVEL = 1;

const prototypes = new Map<string, unknown>();

/** Gives a graph's intermediate tensors their memory, reusing one buffer from graph to graph. */
export class GraphAllocator extends NativeOwner {
  readonly #handle: Pointer;

  constructor(backend: Backend) {
    super();
    this.#handle = native().ggml.gallocrNew(backend.bufferType);
  }

  allocate(graph: Graph): void {
    this.assertAlive();
    if (!native().ggml.gallocrAllocGraph(this.#handle, graph.handle)) {
      throw new PyramidKVError("NATIVE", "not enough memory for the activations of this request");
    }
  }

  protected release(): void {
    native().ggml.gallocrFree(this.#handle);
  }
}
