import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { METRICS } from "./metrics.ts";
import { segment } from "./metrics/chinese.ts";
import { ratio } from "./metrics/exact.ts";
import { normalizeAnswer, normalizeChineseAnswer, round2 } from "./metrics/python-text.ts";
import { rougeL } from "./metrics/rouge-l.ts";
import { meansByLength, meanScore, scoreOf } from "./run/score.ts";
import { scoredTask } from "./scored-tasks.ts";

const golden = JSON.parse(
  readFileSync(new URL("../../test/golden/metrics-open.json", import.meta.url), "utf8"),
) as {
  rouge_recursion_limit: Record<string, unknown>[];
  round_2: { value: number; rounded: number }[];
  normalize_answer: { text: string; normalized: string }[];
  normalize_zh_answer: { text: string; normalized: string }[];
  jieba_cut: { text: string; tokens: string[] }[];
  fuzz_ratio: { a: string; b: string; levenshtein: number }[];
  longbench: Case[];
  longbench_datasets: {
    dataset: string;
    ids: string[];
    lengths: number[];
    score: number;
    score_e: Record<string, number | null>;
  }[];
  longbench_v2: { id: string; prediction: string; answer: string; score: boolean }[];
  ruler: (Case & { score_ruler_upstream: number })[];
  ruler_tasks: { task: string; ids: string[]; score_ruler_upstream: number }[];
};

interface Case {
  readonly id: string;
  readonly dataset: string;
  readonly task: string;
  readonly prediction: string;
  readonly answers: readonly string[];
  readonly all_classes?: readonly string[];
  readonly score: number;
}

const scored = (name: string, c: Case) =>
  scoreOf(scoredTask(name), c.prediction, { answers: c.answers, classes: c.all_classes });
const byId = (cases: readonly Case[], ids: readonly string[]) =>
  ids.map((id) => cases.find((c) => c.id === id) as Case);

describe("as the original Python code", () => {
  it.each(golden.round_2)("rounds $value to $rounded", ({ value, rounded }) => {
    expect(round2(value)).toBe(rounded);
  });

  it.each(golden.normalize_answer)("normalizes $text", ({ text, normalized }) => {
    expect(normalizeAnswer(text)).toBe(normalized);
  });

  it.each(golden.normalize_zh_answer)("normalizes $text", ({ text, normalized }) => {
    expect(normalizeChineseAnswer(text)).toBe(normalized);
  });

  it.each(golden.jieba_cut)("segments $text", ({ text, tokens }) => {
    expect(segment(text)).toEqual(tokens);
  });

  it.each(golden.fuzz_ratio)("likens $a to $b", ({ a, b, levenshtein }) => {
    expect(ratio(a, b)).toBe(levenshtein);
  });

  it.each(golden.longbench)("scores LongBench's $dataset, $id", (c) => {
    expect(Math.abs(scored(`longbench/${c.dataset}`, c) - c.score)).toBeLessThan(1e-6);
  });

  it.each(golden.longbench_datasets)("scores all of LongBench's $dataset", (d) => {
    const scores = byId(golden.longbench, d.ids).map((c) => scored(`longbench/${d.dataset}`, c));
    expect(meanScore(scores)).toBe(d.score);
    for (const [bucket, mean] of Object.entries(meansByLength(scores, d.lengths))) {
      expect(mean ?? null).toBe(d.score_e[bucket]);
    }
  });

  it.each(golden.longbench_v2)("scores LongBench v2, $id", ({ prediction, answer, score }) => {
    const task = scoredTask("longbench-v2");
    expect(scoreOf(task, prediction, { answers: [answer] })).toBe(Number(score));
  });

  it.each(golden.ruler)("scores RULER's $task, $id", (c) => {
    expect(meanScore([scored(`ruler/${c.task}`, c)])).toBe(c.score_ruler_upstream);
  });

  it.each(golden.ruler_tasks)("scores all of RULER's $task", (d) => {
    const scores = byId(golden.ruler, d.ids).map((c) => scored(`ruler/${d.task}`, c));
    expect(meanScore(scores)).toBe(d.score_ruler_upstream);
  });

  it.each(golden.rouge_recursion_limit)("stops ROUGE-L where Python's recursion ends: $id", (c) => {
    const {
      prediction,
      answers,
      score,
      score_without_limit: without,
    } = c as {
      prediction: string;
      answers: string[];
      score: number;
      score_without_limit: number;
    };
    expect(rougeL(prediction, answers[0] as string)).toBeCloseTo(score, 6);
    expect(rougeL(prediction, answers[0] as string, true)).toBeCloseTo(without, 6);
  });
});

const text = fc.string({ unit: fc.constantFrom(..."ab c.。的 1#\n") });

it.each(Object.entries(METRICS))("%s is between 0 and 1 whatever the texts", (_, { score }) => {
  fc.assert(
    fc.property(text, fc.array(text), fc.array(text), (prediction, answers, classes) => {
      const value = score(prediction, { answers, classes });
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }),
  );
});
