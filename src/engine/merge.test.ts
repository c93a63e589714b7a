import { expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { rowBytes } from "../ggml/types.ts";
import type { LayerCache } from "../kvcache/layer-cache.ts";
import { Engine } from "./engine.ts";

/** The bytes of a layer's keys and values that hold tokens. */
function heldBytes({ k, v, heads, headDim, format }: LayerCache): Uint8Array[] {
  const row = rowBytes(format.type, headDim);
  return heads.flatMap((head) =>
    [k, v].map((tensor) => readTensor(tensor, new Uint8Array(head.length * row), head.row * row)),
  );
}

it.each(["f16", "q8_0", "q4_0"])(
  "merges nothing into layers that evict nothing: %s",
  async (kvType) => {
    using folder = new TestFolder();
    const model = folder.tiny({ nLayer: 4, headDim: 32 });
    await using engine = await Engine.load({ model, threads: 1 });
    const run = async (method: string, kvSize: number) => {
      const session = engine.createSession({ method, kvSize, kvType });
      await session.prefill(randomTokens(200));
      return session;
    };
    // The upper half reads 60 tokens of 200, which is less than it may keep.
    using plain = await run("carry:0.3(snapkv)", 100);
    using merged = await run("merge(carry:0.3(snapkv))", 100);
    using whole = await run("snapkv", 200);
    using mergedWhole = await run("merge(snapkv)", 200);
    for (const il of [0, 1, 2, 3]) {
      const [a, b, c, d] = [plain, merged, whole, mergedWhole].map((s) =>
        heldBytes(s.cache.layers[il] as LayerCache),
      );
      expect(d).toEqual(c);
      if (il >= 2) expect(b).toEqual(a);
      else expect(b).not.toEqual(a);
    }
  },
);
