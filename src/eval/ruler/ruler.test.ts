import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, afterAll, describe, expect, it } from "vitest";
import { TestFolder } from "../../../test/helpers/tiny-model.ts";
import { Engine } from "../../engine/engine.ts";
import { scoreOf } from "../run/score.ts";
import { joined, type PromptParts } from "../run/sample.ts";
import { OWN_RULER_PROMPTS, readRulerPrompts } from "./prompts.ts";
import { rulerSamples, type RulerOptions } from "./samples.ts";
import { RULER_TASKS } from "./tasks.ts";

let engine: Engine;
const folder = new TestFolder();
beforeAll(async () => {
  engine = await Engine.load({ model: folder.tiny({ vocabulary: true }), threads: 1 });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const questions = Array.from({ length: 120 }, (_, i) => ({
  question: `What is the capital of land ${i}?`,
  answers: [`City ${i}`],
  document: `The capital of land ${i} is City ${i}. It lies on a river.`,
}));

const options: RulerOptions = {
  tasks: Object.keys(RULER_TASKS),
  lengths: [3000, 6000],
  count: 2,
  seed: 1,
  haystack: "A man walked to the shore. The wind was cold! Had he seen the ship? ".repeat(300),
  prompts: OWN_RULER_PROMPTS,
  questions: { qa_1: questions, qa_2: questions },
};

it("says where there are too few documents for a length", () => {
  const few = { qa_1: questions.slice(0, 30) };
  const [sample] = rulerSamples(engine.tokenizer, { ...options, tasks: ["qa_1"], questions: few });
  expect(() => sample?.parts()).toThrow(
    /ruler\/qa_1: all its documents together are a prompt of \d+ tokens, \d+ were asked for; give more/,
  );
});

const textOf = (tokens: Int32Array) => engine.tokenizer.decode(tokens);
const times = (text: string, part: string) => text.split(part).length - 1;

describe.each(Object.keys(RULER_TASKS))("%s", (name) => {
  const samples = () => rulerSamples(engine.tokenizer, { ...options, tasks: [name] });

  it("fills its length and no more, and holds its answers", () => {
    for (const sample of samples()) {
      const { context, question } = sample.parts();
      const length = sample.facts?.length as number;
      const used = context.length + question.length + sample.maxTokens;
      expect(used).toBeLessThanOrEqual(length);
      // Coded words come in whole ranks.
      expect(used).toBeGreaterThan(length - 400);
      const { answers } = sample.truth;
      const text = textOf(context);
      for (const answer of answers) expect(text).toContain(answer);
      expect(scoreOf(sample.scored, `They are ${answers.join(", ")}.`, sample.truth)).toBe(1);
      expect(scoreOf(sample.scored, "None.", sample.truth)).toBe(0);
      expect(textOf(question)).not.toContain(answers[0] as string);
    }
  });

  it("is the same for a seed, and another for another", () => {
    const prompts = (seed: number) =>
      rulerSamples(engine.tokenizer, { ...options, tasks: [name], lengths: [3000], seed }).map(
        (sample) => [...sample.parts().context].join(),
      );
    expect(prompts(1)).toEqual(prompts(1));
    expect(prompts(1)).not.toEqual(prompts(2));
    expect(new Set(prompts(1)).size).toBe(2);
  });
});

const first = (name: string) =>
  rulerSamples(engine.tokenizer, { ...options, tasks: [name], lengths: [6000], count: 1 })[0];

it("repeats common words as often as it says", () => {
  const sample = first("cwe");
  const words = textOf(sample?.parts().context ?? new Int32Array(0)).split(/\s+/);
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  expect(sample?.truth.answers).toHaveLength(10);
  for (const answer of sample?.truth.answers ?? []) {
    expect(counts.get(answer)).toBeGreaterThanOrEqual(30);
  }
});

it("draws all words of a list from one kind, however long it is", () => {
  const lengths = [3000, 20_000, 60_000];
  for (const sample of rulerSamples(engine.tokenizer, {
    ...options,
    tasks: ["cwe"],
    lengths,
    count: 1,
  })) {
    const text = textOf(sample.parts().context);
    const words = new Set(text.match(/(?<=\d\. )[a-z-]+/g));
    const pairs = [...words].filter((word) => word.includes("-"));
    expect([0, words.size]).toContain(pairs.length);
    for (const answer of sample.truth.answers) expect(words).toContain(answer);
    const used = joined(sample.parts()).length + sample.maxTokens;
    expect(used).toBeGreaterThan((sample.facts?.length as number) * 0.9);
  }
});

it("fills the length with coded words whatever the seed", () => {
  for (let seed = 0; seed < 40; seed++) {
    const o = { ...options, tasks: ["fwe"], lengths: [2000], count: 1, seed };
    const [sample] = rulerSamples(engine.tokenizer, o);
    expect(joined(sample?.parts() as PromptParts).length).toBeGreaterThan(1600);
  }
});

it("asks for the coded words that come most often after the dots", () => {
  const sample = first("fwe");
  const text = textOf(sample?.parts().context ?? new Int32Array(0));
  const counts = (sample?.truth.answers ?? []).map((answer) => times(text, answer));
  expect(counts).toHaveLength(3);
  expect(counts).toEqual([...counts].sort((a, b) => b - a));
  expect(times(text, "...")).toBeGreaterThan(counts[0] as number);
});

it("chains variables in the order of the text", () => {
  const sample = first("vt");
  const text = textOf(sample?.parts().context ?? new Int32Array(0));
  const at = (sample?.truth.answers ?? []).map((answer) => text.indexOf(`VAR ${answer} =`));
  expect(at).toHaveLength(5);
  expect(at).toEqual([...at].sort((a, b) => a - b));
  expect(at.every((i) => i >= 0)).toBe(true);
});

it("takes the published wording of a task whole, or says what is missing", async () => {
  const path = join(folder.path, "ruler.json");
  const wording = { template: "Text: {context} What of {query}?", answer_prefix: " It is" };
  writeFileSync(path, JSON.stringify({ tasks: { vt: wording, cwe: { template: "x" } } }));
  const prompts = await readRulerPrompts(path);
  const of = (name: string) =>
    rulerSamples(engine.tokenizer, { ...options, tasks: [name], count: 1, prompts })[0];
  expect(textOf(of("vt")?.parts().context ?? new Int32Array(0))).toContain("Text: ");
  expect(of("vt")?.prompts).toBe("ruler.json");
  for (const name of ["cwe", "fwe"]) {
    expect(() => of(name)?.parts()).toThrow(`ruler.json has no "template" with {context}`);
  }
  for (const text of ["null", "[]", '{"tasks":null,"generation":null}']) {
    writeFileSync(path, text);
    const empty = await readRulerPrompts(path);
    expect(() => empty.wording("vt")).toThrow("for vt");
  }
});

it("says what length a task needs at the least", () => {
  const [sample] = rulerSamples(engine.tokenizer, { ...options, tasks: ["cwe"], lengths: [256] });
  expect(() => sample?.parts()).toThrow(/ruler\/cwe needs \d+ tokens of prompt at the least, 136/);
});
