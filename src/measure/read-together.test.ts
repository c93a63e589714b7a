import { expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { openSession, readTogether } from "./read-together.ts";

const WAYS = [
  { method: "full" },
  { method: "snapkv", kvSize: 24 },
  { method: "probe(snapkv)", kvSize: 24 },
  // The same share of the tokens, but others; and one whose size cuts nothing, and so carries all.
  { method: "carry:0.3(snapkv)", kvSize: 24 },
  { method: "carry:0.3(h2o)", kvSize: 64 },
  { method: "carry:0.3(funnel)", kvSize: 24 },
  { method: "carry:0.3(snapkv)", kvSize: 400 },
];

it("reads a prompt in several ways as in each of them alone", async () => {
  using folder = new TestFolder();
  const model = folder.tiny({ nLayer: 4, vocabulary: true });
  await using engine = await Engine.load({ model, threads: 1, chunkTokens: 128 });
  const prompt = randomTokens(300);
  const seen: string[] = [];
  const ways = WAYS.map((options) => ({ options }));
  await readTogether(engine, prompt, ways, { n: 2 }, async ({ way, sessions }) => {
    using alone = openSession(engine, way.options);
    await alone.prefill(prompt);
    for (const session of sessions) {
      expect(session.logits).toEqual(alone.logits);
      expect(
        session.cache.layers.map((layer) => layer.heads.map((_, h) => layer.positions(h))),
      ).toEqual(alone.cache.layers.map((layer) => layer.heads.map((_, h) => layer.positions(h))));
    }
    seen.push(way.options.method);
  });
  expect(seen.sort()).toEqual(WAYS.map(({ method }) => method).sort());
});

it("frees what it opened where a way is refused", async () => {
  using folder = new TestFolder();
  const model = folder.tiny({ nLayer: 2, vocabulary: true });
  await using engine = await Engine.load({ model, threads: 1 });
  const ways = [{ options: { kvSize: 24 } }, { options: { kvBytes: 1 } }];
  const read = readTogether(engine, randomTokens(50), ways, {}, () => undefined);
  await expect(read).rejects.toThrow(/kvBytes/);
});
