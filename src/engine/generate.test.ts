import { describe, expect, it } from "vitest";
import { buildGguf } from "../../test/helpers/gguf-writer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { Conversation } from "./conversation.ts";
import { Engine } from "./engine.ts";
import type { GenerateOptions, Piece } from "./answer.ts";
import { argmax } from "./sampler.ts";

async function withEngine(test: (engine: Engine) => Promise<void>): Promise<void> {
  using folder = new TestFolder();
  await using engine = await Engine.load({
    model: folder.tiny({ vocabulary: true }),
    threads: 1,
  });
  await test(engine);
}

async function pieces(engine: Engine, options: GenerateOptions, prompt = "Once upon a time") {
  using session = engine.createSession({ kvSize: 32 });
  await session.prefill(engine.tokenizer.encode(prompt));
  const all: Piece[] = [];
  for await (const piece of session.generate(options)) all.push(piece);
  return all;
}

const textOf = (all: readonly Piece[]) => all.map((p) => p.text).join("");
const tokensOf = (all: readonly Piece[]) => all.map((p) => p.token);
const greedy = { maxTokens: 40, ignoreEndOfText: true };
/** An answer that does not repeat one letter. */
const varied = { ...greedy, temperature: 2, topK: 0, minP: 0, seed: 3 };

describe("generate", () => {
  it("takes the most likely token by default", () =>
    withEngine(async (engine) => {
      const all = await pieces(engine, greedy);
      expect(all).toHaveLength(40);
      expect(all.at(-1)?.finishReason).toBe("length");
      using session = engine.createSession({ kvSize: 32 });
      await session.prefill(engine.tokenizer.encode("Once upon a time"));
      for (const token of tokensOf(all)) {
        expect(argmax(session.logits)).toBe(token);
        await session.decode(token);
      }
    }));

  it("repeats itself for a seed and differs between seeds", () =>
    withEngine(async (engine) => {
      const run = async (seed: number) =>
        tokensOf(await pieces(engine, { ...greedy, temperature: 2, topK: 0, minP: 0, seed }));
      const [a, again, b] = [await run(1), await run(1), await run(2)];
      expect(again).toEqual(a);
      expect(b).not.toEqual(a);
    }));

  it("obeys top-k, logit bias and penalties", () =>
    withEngine(async (engine) => {
      const plain = tokensOf(await pieces(engine, greedy));
      const k1 = { ...greedy, temperature: 1, topK: 1 };
      expect(tokensOf(await pieces(engine, k1))).toEqual(plain);
      const biased = tokensOf(await pieces(engine, { ...greedy, logitBias: { 77: 1000 } }));
      expect(new Set(biased)).toEqual(new Set([77]));
      const banned = { [plain[0] ?? 0]: -1000 };
      expect(tokensOf(await pieces(engine, { ...greedy, logitBias: banned }))[0]).not.toBe(
        plain[0],
      );
      const repeated = tokensOf(await pieces(engine, { ...greedy, repeatPenalty: 5 }));
      expect(new Set(repeated).size).toBeGreaterThan(new Set(plain).size);
    }));

  it.each([
    [{ temperature: -1 }, /temperature must be 0 to 100, got -1/],
    [{ topP: 2 }, /topP must be 0 to 1, got 2/],
    [{ topK: 1.5 }, /topK must be/],
    [{ seed: -1 }, /seed must be/],
    [{ logitBias: { 9999: 1 } }, /logitBias token must be 0 to 319, got 9999/],
    [{ maxTokens: -1 }, /maxTokens must be/],
    [{ stop: [""] }, /a stop string must not be empty/],
  ])("refuses %o", (options, message) =>
    withEngine(async (engine) => {
      await expect(pieces(engine, options)).rejects.toThrow(message);
    }),
  );

  it("never splits a character", () =>
    withEngine(async (engine) => {
      // The vocabulary is made of bytes: at a high temperature most of them are halves of characters.
      const all = await pieces(engine, {
        ...greedy,
        maxTokens: 200,
        temperature: 5,
        topK: 0,
        minP: 0,
      });
      for (const { text } of all) expect(text.isWellFormed()).toBe(true);
      expect(textOf(all)).toBe(engine.tokenizer.decode(tokensOf(all)));
      expect(all.some(({ text }) => text === "")).toBe(true);
    }));

  it("stops at a stop string and leaves it out", () =>
    withEngine(async (engine) => {
      const text = textOf(await pieces(engine, varied));
      const stop = text.slice(10, 13);
      const cut = await pieces(engine, { ...varied, stop: [stop] });
      expect(textOf(cut)).toBe(text.slice(0, text.indexOf(stop)));
      expect(cut.at(-1)?.finishReason).toBe("stop");
    }));

  it("takes one stop string as well as many, and the one that begins first", () =>
    withEngine(async (engine) => {
      const text = textOf(await pieces(engine, varied));
      const [long, short] = [text.slice(8, 15), text.slice(10, 12)];
      const cut = await pieces(engine, { ...varied, stop: long });
      expect(textOf(cut)).toBe(text.slice(0, text.indexOf(long)));
      const both = await pieces(engine, { ...varied, stop: [short, long] });
      expect(textOf(both)).toBe(text.slice(0, Math.min(text.indexOf(short), text.indexOf(long))));
      for (const stop of [5, [5], [null]]) {
        const options = { stop } as unknown as GenerateOptions;
        await expect(pieces(engine, options)).rejects.toThrow(/a stop string must be text, got/);
      }
    }));

  it("loses nothing that is held back where the answer ends", () =>
    withEngine(async (engine) => {
      const text = textOf(await pieces(engine, varied));
      const begun = `${text.slice(-3)} and more`;
      const all = await pieces(engine, { ...varied, stop: [begun] });
      expect(textOf(all)).toBe(text);
      expect(all.at(-1)?.finishReason).toBe("length");
    }));

  it("does not end before its least tokens", () =>
    withEngine(async (engine) => {
      const eos = { maxTokens: 5, logitBias: { 2: 1000 } };
      const all = await pieces(engine, { ...eos, minTokens: 3 });
      expect(all).toHaveLength(4);
      expect(all.at(-1)).toMatchObject({ token: 2, finishReason: "stop" });
      const [first] = await pieces(engine, greedy);
      const stop = [first?.text ?? ""];
      const longer = await pieces(engine, { ...greedy, stop, minTokens: 1 });
      expect(longer.length).toBeGreaterThan(1);
      expect(longer[0]?.token).not.toBe(first?.token);
    }));

  it("says that a model computes no numbers where a method would rank them", async () => {
    using folder = new TestFolder();
    const { metadata, tensors } = tinyModel({ nLayer: 2 });
    for (const { name, data } of tensors) {
      if (name === "blk.0.attn_k.weight") data.set(new Uint8Array(new Float32Array([NaN]).buffer));
    }
    const model = folder.file("nan.gguf", buildGguf(metadata, tensors));
    await using engine = await Engine.load({ model, threads: 1 });
    for (const method of ["snapkv", "h2o", "ada(snapkv)", "knorm"]) {
      using session = engine.createSession({ method, kvSize: 48 });
      await expect(session.prefill(randomTokens(100))).rejects.toMatchObject({
        code: "NATIVE",
        message: expect.stringMatching(/not finite.*a weight is damaged/) as string,
      });
    }
  });

  it("says that logits are no numbers, and lets the others of a batch go on", async () => {
    const { metadata, tensors } = tinyModel({ vocabulary: true });
    const embedding = tensors.find(({ name }) => name === "token_embd.weight");
    const damaged = 200;
    const { data, shape } = embedding as NonNullable<typeof embedding>;
    new Float32Array(data.buffer, data.byteOffset).fill(
      ...([NaN, damaged * (shape[0] as number), (damaged + 1) * (shape[0] as number)] as const),
    );
    // The output would be the same matrix.
    const output = tinyModel({ untied: true }).tensors.find((t) => t.name === "output.weight");
    using folder = new TestFolder();
    const whole = buildGguf(metadata, [...tensors, output as NonNullable<typeof output>]);
    await using engine = await Engine.load({ model: folder.file("nan.gguf", whole), threads: 1 });
    using sound = engine.createSession();
    using broken = engine.createSession();
    await sound.prefill([5, 6, 7]);
    await broken.prefill([5, damaged, 7]);
    const refusal = {
      code: "NATIVE",
      message: expect.stringMatching(/not finite \(NaN/) as string,
    };
    for (const options of [greedy, { ...greedy, temperature: 1 }]) {
      await expect(broken.generate(options).next()).rejects.toMatchObject(refusal);
    }
    const together = [];
    for await (const piece of engine.generateTogether([broken, sound], {
      ...greedy,
      maxTokens: 4,
    })) {
      together.push(piece);
    }
    const [first, ...others] = together;
    expect(first).toMatchObject({ session: broken, finishReason: "error", error: refusal });
    expect(others.map(({ session }) => session)).toEqual([sound, sound, sound, sound]);
    expect(others.at(-1)?.finishReason).toBe("length");
  });

  it("stops at the end-of-text token unless told otherwise", () =>
    withEngine(async (engine) => {
      const eos = { maxTokens: 5, logitBias: { 2: 1000 } };
      const all = await pieces(engine, eos);
      expect(all).toMatchObject([{ text: "", token: 2, finishReason: "stop" }]);
      expect(await pieces(engine, { ...eos, ignoreEndOfText: true })).toHaveLength(5);
    }));

  it("throws when its signal fires, and what came stays", () =>
    withEngine(async (engine) => {
      using session = engine.createSession();
      await session.prefill(engine.tokenizer.encode("abc"));
      const n = session.nPast;
      const controller = new AbortController();
      let count = 0;
      const run = async () => {
        const options = { maxTokens: 50, ignoreEndOfText: true, signal: controller.signal };
        for await (const _ of session.generate(options)) if (++count === 4) controller.abort();
      };
      await expect(run()).rejects.toMatchObject({ code: "ABORTED" });
      expect(count).toBe(4);
      expect(session.nPast).toBe(n + 3);
      await session.prefill(engine.tokenizer.encode("d", { addSpecial: false }));
      expect(session.nPast).toBeGreaterThan(n + 4); // the fourth token and the new one
    }));
});

describe("Conversation", () => {
  it("adds only the new turn to the cache", () =>
    withEngine(async (engine) => {
      using session = engine.createSession({ method: "full" });
      const chat = new Conversation(session, engine.tokenizer, "be brief");
      const options = { maxTokens: 4, logitBias: { 2: -1000 } };
      let answer = "";
      for await (const { text } of chat.send("hello", options)) answer += text;
      const before = session.nPast;
      for await (const _ of chat.send("again", options));
      expect(chat.messages.map((m) => m.role)).toEqual([
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
      ]);
      expect(chat.messages[2]?.content).toBe(answer);
      expect(session.nPast - before).toBeLessThan(before);
    }));

  it("takes a message back, and answers it again as if it had never been there", () =>
    withEngine(async (engine) => {
      using session = engine.createSession({ method: "full" });
      const chat = new Conversation(session, engine.tokenizer);
      const options = { maxTokens: 4, logitBias: { 2: -1000 } };
      for await (const _ of chat.send("hello", options));
      for await (const _ of chat.send("again", options));
      expect(chat.undo()).toBe("again");
      const begun = chat.messages.slice();
      for await (const _ of chat.send("again", options));
      const messages = chat.messages.slice();
      using another = engine.createSession({ method: "full" });
      const fresh = new Conversation(another, engine.tokenizer);
      fresh.restore(begun);
      for await (const _ of fresh.send("again", options));
      expect(fresh.messages).toEqual(messages);
      expect(messages).toHaveLength(4);
      expect([chat.undo(), chat.undo(), chat.undo()]).toEqual(["again", "hello", undefined]);
      chat.restore(messages);
      expect(chat.messages).toEqual(messages);
    }));

  it("does not keep a message that could not be read", () =>
    withEngine(async (engine) => {
      using session = engine.createSession();
      const chat = new Conversation(session, engine.tokenizer);
      await expect(chat.send("x".repeat(5000)).next()).rejects.toThrow(/context of 2048/);
      await expect(chat.send("").next()).rejects.toThrow(/the message is empty/);
      expect(chat.messages).toEqual([]);
    }));
});

describe("Tokenizer", () => {
  it("goes there and back, and refuses what is no Unicode", () =>
    withEngine(async (engine) => {
      const { tokenizer } = engine;
      const text = "Grüße, 世界 😀";
      expect(tokenizer.decode(tokenizer.encode(text, { addSpecial: false })).trim()).toBe(text);
      expect(tokenizer.encode("a")[0]).toBe(1);
      expect(() => tokenizer.encode("\ud800")).toThrow(/not valid Unicode/);
      expect(() => tokenizer.piece(320)).toThrow(/token 320 is not in 0 to 319/);
      await Promise.resolve();
    }));

  it("says where a file has no vocabulary or no template", async () => {
    using folder = new TestFolder();
    await using engine = await Engine.load({ model: folder.tiny(), threads: 1 });
    expect(() => engine.tokenizer).toThrow(/has no vocabulary/);
  });
});
