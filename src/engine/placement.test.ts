import { describe, expect, it, vi } from "vitest";
import { KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { METHOD_CASES } from "../../test/helpers/method-names.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { Device, type WeightMemory } from "../ggml/device.ts";
import { chooseKernels } from "../ggml/kernels/choices.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import { openGguf } from "../gguf/file.ts";
import { kvFormat } from "../kvcache/kv-format.ts";
import { ARCHITECTURES } from "../models/architectures.ts";
import { Model } from "../models/model.ts";
import { placedOn, placedOver, type Placement } from "../models/placement.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { answersOf } from "./answers.ts";
import { Decoder } from "./decode/decoder.ts";
import type { LayerAttention } from "./observe/attention-observer.ts";
import { Session } from "./session.ts";
import { watchAttention } from "./watch-attention.ts";

const N_LAYER = 4;

/** How layers lie on two devices; 0 layers: the embeddings alone, or the logits. */
const SPLITS: Readonly<Record<string, (a: Device, b: Device) => Placement>> = {
  "the last one elsewhere": (a, b) =>
    placedOver([
      { device: a, nLayer: 3 },
      { device: b, nLayer: 1 },
    ]),
  "embeddings and logits elsewhere": (a, b) =>
    placedOver([
      { device: a, nLayer: 0 },
      { device: b, nLayer: 4 },
      { device: a, nLayer: 0 },
    ]),
  "back and forth": (a, b) =>
    placedOver([
      { device: a, nLayer: 1 },
      { device: b, nLayer: 2 },
      { device: a, nLayer: 1 },
    ]),
};

const deviceOf = (kernels: string) =>
  new Device({ threads: 1, kernels: chooseKernels(kernels).variant });

interface Run {
  readonly logits: readonly number[][];
  readonly positions: number[][][];
  /** Of each layer, K's bytes. */
  readonly keys: Uint8Array[];
}

/** Two turns and a few tokens, alone and in a batch of two, of one of two sequences. */
async function run(path: string, place: Placement, method: string, kvType = "f16"): Promise<Run> {
  await using file = await openGguf(path);
  using model = await Model.load(place, file);
  using tokenizer = await Tokenizer.load(file);
  using decoder = new Decoder(model);
  const compression = resolveCompression({ method, kvSize: 40, window: 8, alpha: 8 });
  const parts = {
    model,
    decoder,
    tokenizer,
    chunkTokens: 64,
    kvLimit: 64,
    compression,
    kvFormat: kvFormat(kvType, model.hp),
    onFree: ({ cache }: { cache: Session["cache"] }) => decoder.forget({ cache }),
  };
  using session = new Session(parts);
  using other = new Session(parts);
  const logits: number[][] = [];
  const note = () => logits.push([...session.logits]);
  await other.prefill(randomTokens(70, 9));
  for (const turn of [0, 1]) {
    await session.prefill(randomTokens(100, turn));
    note();
    for (let i = 0; i < 20; i++) {
      if (i % 2 === 0) await session.decode(3 + i);
      else await decoder.step([other, session], [5, 3 + i]);
      note();
    }
  }
  const { layers } = session.cache;
  return {
    logits,
    positions: layers.map(({ heads }) => heads.map((head) => [...head.positions])),
    keys: layers.map(({ k, bytes }) => readTensor(k, new Uint8Array(Math.floor(bytes / 4)))),
  };
}

async function splitRun(
  path: string,
  [first, second]: readonly [string, string],
  split: keyof typeof SPLITS,
  ...how: [method: string, kvType?: string]
): Promise<Run> {
  using a = deviceOf(first);
  using b = deviceOf(second);
  return await run(path, (SPLITS[split] as (typeof SPLITS)[string])(a, b), ...how);
}

async function wholeRun(path: string, kernels: string, ...how: [string, string?]): Promise<Run> {
  using device = deviceOf(kernels);
  return await run(path, placedOn(device), ...how);
}

const tiny: TinyOptions = { nLayer: N_LAYER, nHead: 4, nHeadKv: 2, headDim: 32, vocabulary: true };

/** ggml's operations, and the kernels that this CPU is fastest with. */
describe.each(KERNELS.slice(0, 2))("two devices with %s", (kernels) => {
  it.each(METHOD_CASES)("give what one gives: %s", async (method) => {
    using folder = new TestFolder();
    const path = folder.tiny(tiny);
    const whole = await wholeRun(path, kernels, method);
    expect(await splitRun(path, [kernels, kernels], "back and forth", method)).toEqual(whole);
  });
});

/** A model of LFM2's family with short convolutions in these layers. */
function recurrentIn(layers: readonly number[]): TinyOptions {
  const kvHeads = Array.from({ length: N_LAYER }, (_, il) => (layers.includes(il) ? 0 : 2));
  const keys = {
    "attention.head_count_kv": { type: "i32s", value: kvHeads },
    "shortconv.l_cache": { type: "u32", value: 4 },
  } as const;
  return { architecture: ARCHITECTURES.lfm2, keys };
}

describe.each(KERNELS)("two devices with %s", (kernels) => {
  it.each([
    ...Object.keys(SPLITS).map((split) => [split, {}, "f16"] as const),
    ["back and forth", { ropeFactors: true, untied: true }, "q8_0"] as const,
    ["back and forth", { nExpert: 4, nExpertUsed: 2 }, "q4_0"] as const,
    // One of the devices has no layer that attends.
    ["back and forth", recurrentIn([0, 3]), "f16"] as const,
    ["back and forth", recurrentIn([1, 2]), "f16"] as const,
    ["embeddings and logits elsewhere", { weights: "q8_0", nEmbd: 256 }, "f16"] as const,
  ])("give what one gives with %s, %o, %s", async (split, options, kvType) => {
    using folder = new TestFolder();
    const path = folder.tiny({ ...tiny, ...options });
    const whole = await wholeRun(path, kernels, "pyramidkv", kvType);
    const parts = await splitRun(path, [kernels, kernels], split, "pyramidkv", kvType);
    expect(parts).toEqual(whole);
  });
});

it.each(KERNELS.filter((kernels) => kernels !== "ggml"))(
  "one device may compute with ggml's operations and the other with %s",
  async (kernels) => {
    using folder = new TestFolder();
    const path = folder.tiny(tiny);
    const [ggml, ours] = [
      await wholeRun(path, "ggml", "full"),
      await wholeRun(path, kernels, "full"),
    ];
    const mixed = await splitRun(path, ["ggml", kernels], "the last one elsewhere", "full");
    // What the first device computes follows from nothing that the second does.
    expect(mixed.keys.slice(0, 3)).toEqual(ggml.keys.slice(0, 3));
    const far = (a: Run, b: Run) =>
      Math.max(
        ...a.logits.flatMap((row, i) => row.map((x, j) => Math.abs(x - (b.logits[i]?.[j] ?? NaN)))),
      );
    expect(far(mixed, ggml)).toBeLessThan(tolerance(kernels, 3e-2));
    expect(far(mixed, ours)).toBeLessThan(tolerance(kernels, 3e-2));
  },
);

it("attention is watched on whatever device a layer is", async () => {
  using folder = new TestFolder();
  await using file = await openGguf(folder.tiny(tiny));
  const seen = async (place: Placement) => {
    using model = await Model.load(place, file);
    const layers: Float32Array[] = [];
    const onLayer = async (layer: LayerAttention) => {
      layers.push((await layer.attention(1)).weights, layer.asked(0), layer.keys(1));
    };
    const options = { queries: Int32Array.of(20, 99), onLayer };
    await watchAttention({ model, chunkTokens: 64 }, randomTokens(100), options);
    return layers;
  };
  using a = deviceOf("auto");
  using b = deviceOf("auto");
  const whole = await seen(placedOn(a));
  expect(await seen((SPLITS["back and forth"] as (typeof SPLITS)[string])(a, b))).toEqual(whole);
});

it("answers are those of one device", async () => {
  using folder = new TestFolder();
  await using file = await openGguf(folder.tiny(tiny));
  const answer = async (place: Placement) => {
    using model = await Model.load(place, file);
    using decoder = new Decoder(model);
    using session = new Session({
      model,
      decoder,
      tokenizer: undefined,
      chunkTokens: undefined,
      kvLimit: 64,
      compression: resolveCompression({ method: "funnel", kvSize: 40 }),
      kvFormat: kvFormat("f16", model.hp),
      onFree: ({ cache }) => decoder.forget({ cache }),
    });
    await session.prefill(randomTokens(300));
    const tokens: number[] = [];
    const options = { maxTokens: 100, ignoreEndOfText: true };
    for await (const { token } of answersOf(decoder, [session], options)) tokens.push(token);
    return tokens;
  };
  using a = deviceOf("auto");
  using b = deviceOf("auto");
  const whole = await answer(placedOn(a));
  expect(whole).toHaveLength(100);
  expect(await answer((SPLITS["back and forth"] as (typeof SPLITS)[string])(a, b))).toEqual(whole);
});

it("weights are copied to a device whose memory the host cannot map", async () => {
  using folder = new TestFolder();
  const path = folder.tiny(tiny);
  const whole = await wholeRun(path, "ggml", "full");
  using device = deviceOf("ggml");
  const memory = vi.spyOn(device, "plainMemory", "get").mockReturnValue({
    isPlain: true,
    isHost: false,
    allocate: (specs) => device.allocate(specs),
  });
  vi.spyOn(device, "weightMemory").mockImplementation(() => device.plainMemory);
  expect(await run(path, placedOn(device), "full")).toEqual(whole);
  expect(memory).toHaveBeenCalled();
});

it("memory that repacks weights is not read through pointers", ({ skip }) => {
  using device = deviceOf("ggml");
  const spec = { type: TYPES.q4_0, shape: [256, 64] };
  const memory = device.weightMemory(spec);
  skip(memory?.isHost !== false, "ggml repacks nothing on this CPU");
  using buffer = (memory as WeightMemory).allocate([spec]);
  expect(() => buffer.view(0)).toThrow("in no memory of the host");
});
