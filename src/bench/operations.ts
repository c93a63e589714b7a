import type { Device } from "../ggml/device.ts";
import type { InputGraph } from "../ggml/input-graph.ts";
import type { TensorBuffer} from "../ggml/tensor-buffer.ts";
import { writeTensor, type Tensor, type TensorSpec } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES, type TensorType } from "../ggml/types.ts";
import { attention } from "../models/blocks/attention.ts";
import { linear } from "../models/blocks/linear.ts";
import { causalMask } from "../models/blocks/masks.ts";
import { causalScores } from "../engine/observe/scoring.ts";

/** A speed of one operation alone. */
export interface Speed {
  readonly ms: number;
  /** 10⁹ multiply-adds count twice. */
  readonly gflops: number;
  /** 10⁹ bytes of weights read a second. */
  readonly gigabytes: number;
}

export interface AttentionSize {
  readonly headDim: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly nQueries: number;
  readonly nKv: number;
}

const ROPE = { mode: 0, dims: 2 };

/** Causal attention of the last `nQueries` over `nKv` f16 keys, by the device's kernels or ggml's. */
export async function attentionSpeed(
  device: Device,
  s: AttentionSize,
  repetitions: number,
): Promise<Speed> {
  using buffer = filled(device, [
    { type: TYPES.f32, shape: [s.headDim, s.nHead, s.nQueries] },
    { type: TYPES.f16, shape: [s.headDim, s.nKv, s.nHeadKv] },
    { type: TYPES.f16, shape: [s.headDim, s.nKv, s.nHeadKv] },
    { type: TYPES.f16, shape: [s.nKv, s.nQueries] },
  ]);
  const [q, k, v, mask] = buffer.tensors as [Tensor, Tensor, Tensor, Tensor];
  const past = s.nKv - s.nQueries;
  writeTensor(mask, causalMask(past, s.nQueries));
  const group = { firstHead: 0, nHeadKv: s.nHeadKv, k, v, mask: () => mask };
  const heads = { ...s, n: s.nQueries, scale: 1 / Math.sqrt(s.headDim), rope: ROPE };
  const shape = { ...heads, kernels: device.kernelsFor(heads) };
  const ms = await fastest(device, repetitions, (g) => attention(g, q, [group], shape));
  const pairs = s.nQueries * past + (s.nQueries * (s.nQueries + 1)) / 2;
  return { ms, gflops: (4 * pairs * s.nHead * s.headDim) / ms / 1e6, gigabytes: 0 };
}

/** Milliseconds of scoring one layer's keys by its last queries, as prompts are scored. */
export async function windowScoreMs(
  device: Device,
  s: AttentionSize,
  repetitions: number,
): Promise<number> {
  using buffer = filled(device, [
    { type: TYPES.f32, shape: [s.headDim, s.nQueries, s.nHead] },
    { type: TYPES.f16, shape: [s.headDim, s.nKv, s.nHeadKv] },
  ]);
  const [q, k] = buffer.tensors as [Tensor, Tensor];
  const block = { nPast: s.nKv - s.nQueries, n: s.nQueries };
  const kernels = device.kernelsFor({ ...s, rope: ROPE });
  const softmax = { scale: 1 / Math.sqrt(s.headDim) };
  return await fastest(device, repetitions, (g) =>
    causalScores(g, { q, k, softmax }, block, kernels),
  );
}

/** `weights [k, m]` times `n` columns. */
export async function linearSpeed(
  device: Device,
  { type, k, m, n }: { type: TensorType; k: number; m: number; n: number },
  repetitions: number,
): Promise<Speed> {
  using buffer = filled(device, [
    { type, shape: [k, m] },
    { type: TYPES.f32, shape: [k, n] },
  ]);
  const [weight, x] = buffer.tensors as [Tensor, Tensor];
  const ms = await fastest(device, repetitions, (g) => linear(g, { weight }, x));
  return {
    ms,
    gflops: (2 * k * m * n) / ms / 1e6,
    gigabytes: (rowBytes(type, k) * m) / ms / 1e6,
  };
}

/** Random values between 0.1 and 1 in size, of either sign; quantized weights are all alike. */
function filled(device: Device, specs: TensorSpec[]): TensorBuffer {
  const buffer = device.allocate(specs);
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const half = () => (random() < 0.5 ? 0x8000 : 0) + 0x2e00 + Math.floor(random() * 0xe00);
  specs.forEach(({ type }, i) => {
    const bytes = buffer.view(i);
    const { buffer: memory, byteOffset: at, byteLength: n } = bytes;
    if (type === TYPES.f32) fillWith(new Float32Array(memory, at, n / 4), () => 2 * random() - 1);
    else if (type === TYPES.f16) fillWith(new Uint16Array(memory, at, n / 2), half);
    else bytes.fill(0x1b);
  });
  return buffer;
}

function fillWith(array: Float32Array | Uint16Array, value: () => number): void {
  for (let i = 0; i < array.length; i++) array[i] = value();
}

async function fastest(
  device: Device,
  repetitions: number,
  build: (g: InputGraph) => Tensor,
): Promise<number> {
  let best = Infinity;
  for (let i = 0; i <= repetitions; i++) {
    await device.run((g) => {
      g.output(build(g));
      return () => undefined;
    });
    best = i === 0 ? best : Math.min(best, device.lastComputeMs);
  }
  return best;
}
