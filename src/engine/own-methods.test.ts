import { describe, expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import type { BudgetPolicy } from "../compression/budgets/budget.ts";
import type { HeadEvidence } from "../compression/evidence.ts";
import type { Method } from "../compression/method.ts";
import { addMethod } from "../compression/own-methods.ts";
import { METHODS } from "../compression/methods.ts";
import { Engine } from "./engine.ts";

const KV_SIZE = 32;
const N = 100;

async function withEngine(test: (engine: Engine) => Promise<void>): Promise<void> {
  using folder = new TestFolder();
  await using engine = await Engine.load({ model: folder.tiny({ nLayer: 2 }), threads: 1 });
  await test(engine);
}

const mine: Method = { ...METHODS.snapkv, name: "mine", needs: [] };
const scores = (n: number) => Float32Array.from({ length: n }, (_, i) => i);

/** What a method of one's own may get wrong in what it returns. */
const WRONG_SCORES: readonly [string, (heads: readonly HeadEvidence[]) => unknown, RegExp][] = [
  [
    "NaN",
    (heads) => heads.map(({ n }) => ({ scores: new Float32Array(n).fill(NaN) })),
    /mine: scores of layer 0, head 0, have NaN for token 0/,
  ],
  [
    "NaN within",
    (heads) => heads.map(({ n }, h) => ({ scores: scores(n).fill(h === 1 ? NaN : 0, 7, 8) })),
    /mine: scores of layer 0, head 1, have NaN for token 7/,
  ],
  [
    "too few scores",
    (heads) => heads.map(({ n }) => ({ scores: new Float32Array(n - 1) })),
    /mine: scores of layer 0, head 0, are 99 for 100 tokens/,
  ],
  [
    "a plain list",
    (heads) => heads.map(({ n }) => ({ scores: Array.from(scores(n)) })),
    /scores of layer 0, head 0, must be a Float32Array, got \[0,1,2/,
  ],
  ["a promise", (heads) => Promise.resolve(heads.map(() => null)), /got a Promise/],
  ["too few heads", () => [null], /mine: score of layer 0 returned 1 entries, .* has 2 kv heads/],
  ["nothing", () => undefined, /must return a list with an entry per kv head, got undefined/],
  [
    "no ranking",
    (heads) => heads.map(() => 5),
    /score of layer 0, head 0, must be an object, got 5/,
  ],
  [
    "a share beyond 1",
    (heads) =>
      heads.map(({ n }) => ({ scores: scores(n), second: { scores: scores(n), share: 2 } })),
    /mine: second share of layer 0, head 0, must be 0 to 1, got 2/,
  ],
  [
    "a second opinion of NaN",
    (heads) =>
      heads.map(({ n }) => ({
        scores: scores(n),
        second: { scores: new Float32Array(n).fill(NaN), share: 0.5 },
      })),
    /second scores of layer 0, head 0, have NaN/,
  ],
];

const policy = (own: object): BudgetPolicy =>
  ({ name: "own", summary: "", ...own }) as unknown as BudgetPolicy;

const WRONG_BUDGETS: readonly [string, BudgetPolicy, RegExp][] = [
  [
    "fractions",
    policy({ kind: "layers", layers: () => [40.5, 23.5] }),
    /mine: layers of layer 0, head 0, must be a whole number of at least 0, got 40.5/,
  ],
  [
    "a short list",
    policy({ kind: "layers", layers: () => [64] }),
    /mine: layers of its budget returned 1 entries, there are 2 layers/,
  ],
  ["no list", policy({ kind: "layers", layers: () => 64 }), /must return a list, got 64/],
  [
    "a head too few",
    policy({ kind: "heads", heads: () => [[32, 32], [64]] }),
    /mine: heads of layer 1 returned 1 entries, there are 2 kv heads/,
  ],
  [
    "none for a head",
    policy({
      kind: "heads",
      heads: () => [
        [32, 32],
        [64, 0],
      ],
    }),
    /heads of layer 1, head 1, must be a whole number of at least 1, got 0/,
  ],
  [
    "less than is kept by force",
    policy({
      kind: "heads",
      heads: () => [
        [32, 32],
        [60, 4],
      ],
    }),
    /the budget of layer 1, head 1, is 4; sinks and window, .* are 9/,
  ],
  [
    "a split of NaN",
    policy({ kind: "split", layers: () => [32, 32], split: () => [NaN, 64] }),
    /mine: split of layer 0, head 0, .* got NaN/,
  ],
  [
    "negative weights",
    policy({ kind: "weighed", least: () => 1, weigh: () => [1, -1] }),
    /mine: weigh of layer 0, head 1, must be a number of at least 0, got -1/,
  ],
  [
    "a least that is no number",
    policy({ kind: "weighed", weigh: () => [1, 1], least: () => NaN }),
    /mine: least of layer 0, head 0, must be a whole number of at least 0, got NaN/,
  ],
  [
    "a measure of text",
    policy({ kind: "measured", measure: () => ["9", 9] }),
    /mine: measure of layer 0, head 0, .* got "9"/,
  ],
];

describe("what a method of one's own returns is checked", () => {
  it.each(WRONG_SCORES)("%s", (_, score, message) =>
    withEngine(async (engine) => {
      const method = { ...mine, score: ({ heads }) => score(heads) } as Method;
      using session = engine.createSession({ method, kvSize: KV_SIZE });
      const refused = session.prefill(randomTokens(N));
      await expect(refused).rejects.toMatchObject({
        code: "USAGE",
        message: expect.stringMatching(message) as string,
      });
      expect(session.cache.bytes).toBe(0);
      // In wrappers, before they make something else of the scores.
      addMethod({ ...method, name: "tested" });
      for (const name of ["chunk:4(tested)", "local:2(tested)", "ada(tested)", "merge(tested)"]) {
        using wrapped = engine.createSession({ method: name, kvSize: KV_SIZE });
        await expect(wrapped.prefill(randomTokens(N))).rejects.toMatchObject({
          code: "USAGE",
          message: expect.stringMatching(/tested: (scores?|second)/) as string,
        });
      }
      // While decoding, too.
      const often = { method, every: 4 };
      using decoding = engine.createSession({ method: often, kvSize: KV_SIZE });
      await decoding.prefill(randomTokens(KV_SIZE));
      const decode = async () => {
        for (let i = 0; i < 5; i++) await decoding.decode(5);
      };
      await expect(decode()).rejects.toMatchObject({ code: "USAGE" });
    }),
  );

  it.each(WRONG_BUDGETS)("budgets: %s", (_, budget, message) =>
    withEngine(async (engine) => {
      const method: Method = {
        ...mine,
        budget,
        score: ({ heads }) => heads.map(({ n }) => ({ scores: scores(n) })),
      };
      using session = engine.createSession({ method, kvSize: KV_SIZE });
      await expect(session.prefill(randomTokens(N))).rejects.toThrow(message);
      expect(session.cache.bytes).toBe(0);
    }),
  );
});

describe("a method of one's own has all its parts", () => {
  it.each([
    [{}, /the method given: its name must be text, got undefined/],
    [{ ...mine, score: 5 }, /the method mine: its score must be a function, got 5/],
    [{ ...mine, needs: "window" }, /its needs must be a list of evidence, got "window"/],
    [{ ...mine, needs: ["windows"] }, /its needs must be of window, sums, .*, got "windows"/],
    [{ ...mine, options: undefined }, /its options must be a list of names, got undefined/],
    [{ ...mine, budget: undefined }, /its budget must be an object, got undefined/],
    [{ ...mine, budget: { kind: "odd" } }, /the kind of its budget must be one of layers, heads/],
    [{ ...mine, budget: { kind: "split", layers: () => [] } }, /its budget's split must be a func/],
    [{ method: mine, every: NaN }, /mine: its every must be an integer of at least 1, got NaN/],
    [{ method: mine, carries: 2 }, /mine: its carries must be 0.01 to 1, got 2/],
    [{ method: mine, merges: -1 }, /mine: its merges must be 0 to 1, got -1/],
    [{ method: mine, probe: "fact" }, /mine: its probe.*"fact".*did you mean facts/],
    [{ method: mine, rerotates: 1 }, /mine: its rerotates must be true or false, got 1/],
    [{ method: mine, often: 1 }, /the recipe of mine has no often; its parts are method, every/],
    [{ method: { ...mine, name: 1 } }, /the method given: its name must be text, got 1/],
    [{ ...mine, every: 4 }, /mine: its every says how it is run: give { method, every } instead/],
    [{ ...mine, probe: "fact" }, /mine: its probe.*"fact".*did you mean facts/],
    [{ ...mine, defaults: { window: "a" } }, /mine: its default window must be an integer/],
    [{ ...mine, defaults: { windows: 8 } }, /its defaults must be of .*, got "windows"/],
  ])("%o", (method, message) =>
    withEngine((engine) => {
      const options = { method: method as unknown as Method };
      expect(() => engine.createSession(options)).toThrow(message);
      return Promise.resolve();
    }),
  );
});
