import { describe, expect, it } from "vitest";
import { randomTokens, TestFolder } from "../test/helpers/tiny-model.ts";
import * as library from "./index.ts";

/** A value of another type than the one asked for, as JavaScript lets it through. */
const loosely = (value: unknown) => value as never;

/** Every function that is exported, with what none of them can take. */
const DOORS: readonly [string, (engine: library.Engine) => unknown, RegExp][] = [
  ["plan", () => library.plan(loosely(5)), /plan takes an object of options, got 5/],
  ["plan", () => library.plan(loosely(undefined)), /plan takes an object of options/],
  ["plan", () => library.plan({ model: loosely(5) }), /model must be a name, a path or .*, got 5/],
  [
    "plan",
    () => library.plan({ model: "llama-3-8b", kvSize: 64, kvBytes: 1e6 }),
    /kvSize and kvBytes both set the size/,
  ],
  [
    "plan",
    () => library.plan(loosely({ model: "llama-3-8b", contex: 5 })),
    /plan: unknown option "contex".*did you mean context/,
  ],
  [
    "plan",
    () => library.plan({ model: "llama-3-8b", ownKernels: loosely("no") }),
    /ownKernels must be true or false, got "no"/,
  ],
  ["resolveModel", () => library.resolveModel(loosely(5)), /model must be text, got 5/],
  ["resolveCompression", () => library.resolveCompression(loosely(5)), /takes an object/],
  ["parseProfile", () => library.parseProfile("5", "p.json"), /p.json is no profile/],
  ["addMethod", () => library.addMethod(loosely(5)), /must be an object, got 5/],
  ["analyze", (engine) => library.analyze(engine, loosely(undefined)), /tokens must be a list/],
  [
    "analyze",
    (engine) => library.analyze(engine, randomTokens(64), loosely({ studis: [] })),
    /analyze: unknown option "studis".*did you mean studies/,
  ],
  [
    "retention",
    (engine) => library.retention(engine, randomTokens(64), loosely({ way: [] })),
    /retention: unknown option "way".*did you mean ways/,
  ],
  [
    "retention",
    (engine) => library.retention(engine, randomTokens(64), loosely({})),
    /no methods were given/,
  ],
  ["fitBudget", () => library.fitBudget(loosely(5), loosely({})), /fitBudget takes what .*, got 5/],
  ["encodeChat", ({ tokenizer }) => tokenizer.encodeChat(loosely(5)), /messages must be a list/],
  [
    "encodeChat",
    ({ tokenizer }) => tokenizer.encodeChat([], { tools: loosely("all") }),
    /tools must be a list/,
  ],
  [
    "encodeChat",
    ({ tokenizer }) => tokenizer.encodeChat([], { variables: loosely([1]) }),
    /variables must be an object/,
  ],
  [
    "encodeChat",
    ({ tokenizer }) => tokenizer.encodeChat([], loosely({ tool: [] })),
    /encodeChat: unknown option "tool".*did you mean tools/,
  ],
  [
    "encodeChat",
    ({ tokenizer }) => tokenizer.encodeChat(loosely([null])),
    /messages must be a list of { role, content }, got \[null\]/,
  ],
  [
    "applyChatTemplate",
    ({ tokenizer }) => tokenizer.applyChatTemplate(loosely("hi")),
    /messages must be a list of { role, content }, got "hi"/,
  ],
  [
    "restore",
    (engine) =>
      new library.Conversation(engine.createSession(), engine.tokenizer).restore(loosely(5)),
    /messages must be a list/,
  ],
];

describe("a door of the library says what is wrong in a sentence", () => {
  it.each(DOORS)("%s", async (_, enter, message) => {
    using folder = new TestFolder();
    const model = folder.tiny({ nLayer: 1, vocabulary: true });
    await using engine = await library.Engine.load({ model, threads: 1 });
    const entered = Promise.resolve().then(() => enter(engine));
    await expect(entered).rejects.toMatchObject({
      name: "PyramidKVError",
      message: expect.stringMatching(message) as string,
    });
  });
});
