import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsDifference } from "../../src/bench/statistics.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { Session } from "../../src/engine/session.ts";
import { argmax } from "../../src/engine/sampler.ts";
import { readHaystack } from "../../src/eval/haystack.ts";
import { DEMO_NEEDLE, needlePrompt } from "../../src/eval/needle/prompt.ts";
import { Libllama } from "../../src/ggml/libllama.ts";
import { resolveModel } from "../../src/hub/resolve.ts";

/**
 * Real models of other families than the default one's; more by name in `PYRAMIDKV_TEST_MODELS`, for those who have the
 * time. Behind its windows libllama's cache has rows that ours has not; ggml splits rows among its threads, so that
 * sums are equal to the bit with one thread alone.
 */
const more = process.env["PYRAMIDKV_TEST_MODELS"]?.split(",") ?? [];
const models: [string, number][] = [
  ["qwen2.5-coder-0.5b", 2],
  ["gemma-3-270m", 1],
  ...more.map((name): [string, number] => [name, 2]),
];

async function answerOf(session: Session, maxTokens: number): Promise<string> {
  let answer = "";
  for await (const { text } of session.generate({ maxTokens })) answer += text;
  return answer;
}

describe.each(models)("%s", (model, threads) => {
  let path: string;
  let text: Int32Array;
  let exact: Engine;
  beforeAll(async () => {
    path = await resolveModel(model);
    exact = await Engine.load({ model: path, threads, kernels: "ggml" });
    const once = Array.from(exact.tokenizer.encode(await readHaystack()));
    text = Int32Array.from([...once, ...once].slice(0, 4000));
  });
  afterAll(() => exact[Symbol.asyncDispose]());

  it.each([500, 4000])(
    "gives libllama's 64 greedy tokens after %i, with ggml's operations",
    async (n) => {
      using oracle = await Libllama.load(path, { threads, nCtx: n + 128 });
      using session = exact.createSession({ method: "full" });
      await session.prefill(text.subarray(0, n));
      let expected = await oracle.evaluate(text.slice(0, n));
      expect(maxAbsDifference(session.logits, expected)).toBeLessThanOrEqual(1e-3);
      const [ours, theirs]: [number[], number[]] = [[], []];
      for (let i = 0; i < 64; i++) {
        theirs.push(argmax(expected));
        ours.push(argmax(session.logits));
        if (i === 63) break;
        await session.decode(theirs[i] as number);
        expected = await oracle.evaluate(Int32Array.of(theirs[i] as number));
      }
      expect(ours).toEqual(theirs);
    },
  );

  it("holds no more in its windows than they see, while it reads and while it decodes", async () => {
    const windows = exact.model.layers.map(({ window }) => window);
    using session = exact.createSession({ method: "pyramidkv", kvSize: 128 });
    await session.prefill(text.subarray(0, 2000));
    const { cache } = session;
    cache.layers.forEach(({ kept }, il) => {
      const window = windows[il];
      if (window !== undefined) expect(kept).toBe(window);
    });
    expect(cache.meanKept).toBe(128);
    const { nHeadKv, headDim } = exact.model;
    const wholeLayer = 2048 * nHeadKv * headDim * 2 * 2; // rows, k and v, f16
    expect(cache.ledger.peak).toBeLessThan(cache.bytes + 1.1 * wholeLayer);
  });
});

describe("qwen2.5-coder-0.5b", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.load({ model: "qwen2.5-coder-0.5b", threads: 2 });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  it("chats through its own template", async () => {
    const content = "What is the capital of France? Answer in one word.";
    using session = engine.createSession({ method: "full" });
    await session.prefill(engine.tokenizer.encodeChat([{ role: "user", content }]));
    expect(await answerOf(session, 8)).toBe("Paris");
  });

  it.each([0.2, 0.7])(
    "finds a number at %d of 2,000 tokens, whole and compressed",
    async (depth) => {
      const prompt = needlePrompt(engine.tokenizer, await readHaystack(), DEMO_NEEDLE, 2000, depth);
      using full = engine.createSession({ method: "full" });
      using snapkv = engine.createSession({ method: "snapkv", kvSize: 64 });
      using pyramidkv = engine.createSession({ method: "pyramidkv", kvSize: 128 });
      await engine.prefillTogether([full, snapkv, pyramidkv], prompt);
      for (const session of [full, snapkv, pyramidkv]) {
        expect(await answerOf(session, 24)).toContain(DEMO_NEEDLE.answer);
      }
    },
  );
});
