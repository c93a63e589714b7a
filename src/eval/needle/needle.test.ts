import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestFolder } from "../../../test/helpers/tiny-model.ts";
import { Engine } from "../../engine/engine.ts";
import { NEEDLE_FORMS } from "./forms.ts";
import { needleSamples } from "./samples.ts";
import { severalQuestions } from "./several.ts";

let engine: Engine;
const folder = new TestFolder();
beforeAll(async () => {
  engine = await Engine.load({ model: folder.tiny({ vocabulary: true }), threads: 1 });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const forms = Object.entries(NEEDLE_FORMS);
const needles = forms.flatMap(([name, form]) =>
  [0, 1, 2, 3, 4].map((i) => [`${name} ${i + 1}`, form.needle(i)] as const),
);

describe.each(needles)("%s", (_, { text, question, answer }) => {
  it("holds its answer, and its question does not", () => {
    expect(text).toContain(answer);
    expect(question.toLowerCase()).not.toContain(answer.toLowerCase());
  });
});

it("paraphrased questions share no word with their fact, but for such as stand in all sentences", () => {
  const common = new Set("a an the of in to of his her its by from that had been was is has have what which where with on".split(" ")); // prettier-ignore
  const wordsOf = (text: string) =>
    (text.toLowerCase().match(/[a-z']+/g) ?? []).filter((word) => !common.has(word));
  for (let i = 0; i < 5; i++) {
    const { text, question } = NEEDLE_FORMS.paraphrase?.needle(i) ?? { text: "", question: "" };
    const fact = new Set(wordsOf(text));
    expect(wordsOf(question).filter((word) => fact.has(word))).toEqual([]);
  }
});

it.each(forms.map(([name]) => name))(
  "%s lies where it should, whole, in a prompt of its length",
  (form) => {
    const samples = needleSamples(engine.tokenizer, {
      haystack: "It rained. ".repeat(30),
      form,
      repeats: 2,
      lengths: [600, 1200],
      depths: [0, 0.5, 1],
    });
    expect(samples).toHaveLength(12);
    expect(new Set(samples.map(({ task, id }) => `${task} ${id}`)).size).toBe(12);
    for (const sample of samples) {
      const { context, question } = sample.parts();
      const { length = 0, depth = 0 } = sample.facts ?? {};
      expect(context.length + question.length).toBeLessThanOrEqual(length);
      expect(context.length + question.length).toBeGreaterThan(length - 40);
      const text = engine.tokenizer.decode(context);
      const at = text.indexOf(sample.truth.answers[0] as string) / text.length;
      expect(at).toBeGreaterThan(0);
      expect(Math.abs(at - depth)).toBeLessThan(0.35);
    }
  },
);

it("asks many questions on one text, whose facts are all in it", () => {
  const o = { haystack: "It rained all day. ".repeat(300), lengths: [2000], questions: 6, seed: 1 };
  const samples = severalQuestions(engine.tokenizer, { ...o, texts: 2 });
  expect(samples).toHaveLength(12);
  const texts = samples.map((s) => engine.tokenizer.decode(s.parts().context));
  expect(new Set(texts).size).toBe(2);
  const answers = samples.map(({ truth }) => truth.answers[0] as string);
  expect(new Set(answers.slice(0, 6)).size).toBe(6);
  for (const [i, text] of texts.entries()) {
    const places = answers.slice(i < 6 ? 0 : 6, i < 6 ? 6 : 12).map((code) => text.indexOf(code));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
    const { context, question } = samples[i]?.parts() ?? {};
    expect((context?.length ?? 0) + (question?.length ?? 0)).toBeLessThanOrEqual(2000);
  }
});

it("cuts a haystack between characters, and repeats a short one as long as need be", () => {
  const samples = needleSamples(engine.tokenizer, {
    haystack: "🐄".repeat(501),
    form: "number",
    repeats: 7,
    lengths: [90_000],
    depths: [0.5],
  });
  for (const sample of samples) expect(sample.parts().context.length).toBeGreaterThan(80_000);
});
