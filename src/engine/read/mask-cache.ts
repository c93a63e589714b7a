import type { Device } from "../../ggml/device.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { writeTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { causalMask } from "../../models/blocks/masks.ts";

/** Masks kept at most; those of 8,000 tokens in chunks of 512 take 64 MB. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * The masks of a prefill. Those of a new cache are the same in every layer, and are written once while
 * there is room for them; layers that kept different numbers of tokens need one each.
 */
export class MaskCache extends NativeOwner {
  readonly #kept = new Map<string, TensorBuffer>();
  #bytes = 0;

  constructor(private readonly device: Device) {
    super();
  }

  /** The mask of `n` queries after `nPast` keys: f16 [nPast + n, n]. */
  get(
    g: InputGraph,
    { nPast, n, window }: { nPast: number; n: number; window?: number | undefined },
    shared: boolean,
  ): Tensor {
    this.assertAlive();
    const key = `${nPast}/${n}/${window ?? 0}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept.tensors[0] as Tensor;
    const data = causalMask(nPast, n, window);
    const spec = { type: TYPES.f16, shape: [nPast + n, n] };
    if (!shared || this.#bytes + data.byteLength > MAX_KEPT_BYTES) {
      return g.constant(spec.type, spec.shape, data);
    }
    const buffer = this.device.allocate([spec]);
    const [tensor] = buffer.tensors as [Tensor];
    writeTensor(tensor, data);
    this.#kept.set(key, buffer);
    this.#bytes += data.byteLength;
    return tensor;
  }

  protected release(): void {
    for (const buffer of this.#kept.values()) buffer[Symbol.dispose]();
  }
}
