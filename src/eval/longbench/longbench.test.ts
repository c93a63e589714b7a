import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestFolder } from "../../../test/helpers/tiny-model.ts";
import { Engine } from "../../engine/engine.ts";
import { withoutMiddle } from "../run/sample.ts";
import { DATASETS } from "./datasets.ts";
import { OWN_PROMPTS, promptText, readPrompts } from "./prompts.ts";
import { longBenchSamples } from "./samples.ts";
import { version2Samples } from "./version2.ts";

let engine: Engine;
const models = new TestFolder();
const folder = mkdtempSync(join(tmpdir(), "pyramidkv-longbench-"));
beforeAll(async () => {
  engine = await Engine.load({ model: models.tiny({ vocabulary: true }), threads: 1 });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  models[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const example = (i: number) => ({
  context: `Text ${i}. `.repeat(400),
  input: `What is $& ${i}?`,
  answers: [`${i}`],
  length: 800,
  all_classes: null,
  _id: `id-${i}`,
});
const write = (name: string, lines: readonly unknown[]) =>
  writeFileSync(
    join(folder, name),
    lines.map((l) => (typeof l === "string" ? l : JSON.stringify(l))).join("\n"),
  );
const samplesOf = (datasets: readonly string[], limit = 10) =>
  longBenchSamples({
    datasets,
    folder,
    prompts: OWN_PROMPTS,
    limit,
    maxPrompt: 300,
    nCtx: 2048,
    tokenizer: engine.tokenizer,
  });

describe("samples", () => {
  it("hold the question whole, at the end, and what the middle's cut leaves", async () => {
    write("qasper.jsonl", [example(1), example(2)]);
    const { samples, problems } = await samplesOf(["qasper"]);
    expect(problems).toEqual([]);
    expect(samples.map(({ id }) => id)).toEqual(["id-1", "id-2"]);
    const { context, question } = samples[0]?.parts() ?? {};
    const text = engine.tokenizer.decode(question ?? []);
    expect(text).toContain("What is $& 1?");
    expect(text).not.toContain("Text 1.");
    // Room for the template around it.
    expect((context?.length ?? 0) + (question?.length ?? 0)).toBeLessThan(400);
  });

  it("leave out lines that are of no use, and name them", async () => {
    write("trec.jsonl", [example(1), "{broken", { context: "a" }, "", example(4)]);
    const { samples, problems } = await samplesOf(["trec"]);
    expect(samples.map(({ id }) => id)).toEqual(["id-1", "id-4"]);
    expect(problems).toEqual([
      expect.stringContaining("trec.jsonl: line 2 is no JSON object"),
      expect.stringContaining('trec.jsonl: line 3 has no "context" and "input"'),
    ]);
    expect((await samplesOf(["trec"], 1)).samples).toHaveLength(1);
  });

  it("stop before they cost anything where a file is missing or empty", async () => {
    await expect(samplesOf(["qasper", "musique"])).rejects.toThrow(
      "musique.jsonl cannot be read (ENOENT)",
    );
    write("lcc.jsonl", ["{}"]);
    await expect(samplesOf(["lcc"])).rejects.toThrow("lcc.jsonl holds no examples; ");
  });
});

describe("prompts", () => {
  it.each(Object.keys(DATASETS))("of %s hold context and input", (name) => {
    const { text, question } = promptText(OWN_PROMPTS, name, { context: "CON", input: "INP" });
    expect(text.endsWith(question)).toBe(true);
    expect(text).toContain("CON");
    const asks = !["gov_report", "multi_news", "vcsum", "passage_count", "lcc"].includes(name);
    expect(question.includes("INP")).toBe(asks);
    expect(text).not.toMatch(/\{context\}|\{input\}/);
  });

  it("are read from files of both forms", async () => {
    const path = join(folder, "prompts.json");
    const published = { name: "prompts.json", templates: { lcc: "Code: {context}" } };
    writeFileSync(path, JSON.stringify({ lcc: "Code: {context}" }));
    expect(await readPrompts(path)).toEqual(published);
    writeFileSync(path, JSON.stringify({ datasets: { lcc: { template: "Code: {context}" } } }));
    expect(await readPrompts(path)).toEqual(published);
    const given = await readPrompts(path);
    expect(() => promptText(given, "trec", { context: "", input: "" })).toThrow(
      "prompts.json has no template with {context} for trec",
    );
    writeFileSync(path, "[1, 2]");
    await expect(readPrompts(path)).rejects.toThrow("holds no prompt templates");
  });
});

it("cuts the middle: the first and the last half of the tokens", () => {
  const text = Array.from({ length: 300 }, (_, i) => `w${i}`).join(" ");
  const cut = withoutMiddle(engine.tokenizer, text, 101);
  const tokens = engine.tokenizer.encode(text, { addSpecial: false });
  expect(cut.trimStart().startsWith("w0 w1 ")).toBe(true);
  expect(cut.endsWith("w298 w299")).toBe(true);
  // The tokenizer puts a space before each half.
  expect(engine.tokenizer.encode(cut, { addSpecial: false }).length).toBeLessThanOrEqual(102);
  expect(withoutMiddle(engine.tokenizer, text, tokens.length + 1)).toBe(text);
});

describe("version 2", () => {
  const entry = (i: number) => ({
    _id: `id-${i}`,
    difficulty: "easy",
    length: i === 1 ? "short" : "long",
    answer: "C",
    question: `Which of the four is number ${i}?`,
    context: `Text ${i}. `.repeat(200),
    choice_A: "ant",
    choice_B: "bee",
    choice_C: "cat",
    choice_D: "dog",
  });
  const samplesOf = (path: string) =>
    version2Samples({ path, limit: 9, maxPrompt: 500, nCtx: 2048, tokenizer: engine.tokenizer });

  it.each(["[1]", "lines"])(
    "reads an array or lines, and names entries of no use: %s",
    async (form) => {
      const entries = [entry(1), { ...entry(2), choice_B: 7 }, entry(3)];
      const text = form === "lines" ? entries.map((e) => JSON.stringify(e)).join("\n") : JSON.stringify(entries); // prettier-ignore
      const path = join(folder, "v2.json");
      writeFileSync(path, text);
      const { samples, problems } = await samplesOf(path);
      expect(samples.map(({ task, id }) => `${task} ${id}`)).toEqual([
        ...["longbench-v2/short id-1", "longbench-v2/long id-3"],
      ]);
      expect(problems).toEqual([`${path}: entry 2 has no choice_B`]);
      const question = engine.tokenizer.decode(samples[0]?.parts().question ?? []);
      expect(question).toContain("number 1?");
      expect(question).toContain("C. cat");
    },
  );

  it("says what is wrong with a file", async () => {
    const path = join(folder, "bad.json");
    writeFileSync(path, "[{");
    await expect(samplesOf(path)).rejects.toThrow("bad.json cannot be read as JSON");
    writeFileSync(path, "[]");
    await expect(samplesOf(path)).rejects.toThrow("bad.json holds no entries; it is empty");
    await expect(samplesOf(join(folder, "none"))).rejects.toThrow("cannot be read (ENOENT)");
  });
});
