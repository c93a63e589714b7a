import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ResultRow } from "../run/result-row.ts";
import { pairedDifference } from "./bootstrap.ts";
import { pageHtml } from "../../page/html.ts";
import { pageMarkdown } from "../../page/markdown.ts";
import { makeReport } from "./report.ts";

const row = (over: Partial<ResultRow>): ResultRow => ({
  task: "needle/1000",
  version: 1,
  sample: "a",
  mode: "aware",
  method: "full",
  kvType: "f16",
  options: {},
  model: "<tiny> & co",
  weights: "f",
  kernels: "ggml",
  prompt: "p",
  prompts: "own",
  promptTokens: 1000,
  output: "",
  answers: ["1"],
  score: 1,
  // Rows are padded: more bytes are held than tokens need.
  kv: { fullBytes: 1e6, bytes: 1.037e6, keptBytes: 1e6, peakBytes: 1.037e6, meanKept: 1000 },
  ms: { prefill: 1, decode: 1 },
  ...over,
});

const rows = [1000, 2000].flatMap((length) =>
  [0, 0.5, 1].flatMap((depth) => {
    const facts = { length, depth };
    const own = { task: `needle/${length}`, sample: `at ${depth}`, facts, promptTokens: length };
    const small = (kvSize: number, score: number) =>
      row({
        ...own,
        method: "snapkv",
        options: { kvSize },
        score,
        kv: {
          fullBytes: 1e6,
          bytes: kvSize * 1000,
          keptBytes: kvSize * 900,
          peakBytes: 1e6,
          meanKept: kvSize,
        },
      });
    return [row(own), small(64, 0), small(128, depth === 0 ? 0 : 1)];
  }),
);

describe("a report", () => {
  const report = makeReport([...rows, ...rows]);

  it("has a section with scores, differences and rates, each answer once", () => {
    expect(report.sections).toHaveLength(1);
    const [scores, rates] = report.sections[0]?.tables ?? [];
    expect(scores?.head).toEqual([
      ...["method", "kept", "1000", "2000", "average", "to the full cache", "samples"],
      ...["tokens kept", "MB held"],
    ]);
    expect(scores?.rows.map((r) => r.slice(0, 5))).toEqual([
      ["full", "all", "100.0", "100.0", "100.0"],
      ["snapkv", "64", "0.0", "0.0", "0.0"],
      ["snapkv", "128", "66.7", "66.7", "66.7"],
    ]);
    expect(scores?.rows[1]?.[5]).toBe("−100.0 [−100.0, −100.0]");
    expect(scores?.rows[2]?.[5]).toMatch(/^−33\.3 \[−\d+\.\d, [−+]\d+\.\d\]$/);
    expect(scores?.rows[2]?.slice(6)).toEqual(["6", "11.5 %", "0.13"]);
    expect(scores?.rows[0]?.slice(6)).toEqual(["6", "100.0 %", "1.04"]);
    expect(rates?.rows).toEqual([
      ["1000", "1000", "6.4 %", "12.8 %"],
      ["2000", "2000", "3.2 %", "6.4 %"],
    ]);
  });

  it("has no two columns of one name", () => {
    for (const { head } of report.sections.flatMap(({ tables }) => tables)) {
      expect(new Set(head).size).toBe(head.length);
    }
  });

  it("draws curves, the front and the needles, each as an SVG of its own", () => {
    const charts = report.sections[0]?.charts ?? [];
    expect(charts.map(({ name }) => name)).toEqual([
      ...["score-by-size", "score-by-bytes", "needle-map"],
    ]);
    for (const { svg } of charts) {
      expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
      expect(svg).toContain("snapkv");
      expect(svg).not.toContain("NaN");
    }
    expect(charts[2]?.svg.match(/<rect /g)).toHaveLength(3 * 6);
  });

  it("is one page without anything from elsewhere, and escapes names", () => {
    const html = pageHtml(report);
    expect(html).toContain("&lt;tiny&gt; &amp; co");
    expect(html).not.toMatch(/<script|<link|src=|@import|url\(http|href="(?!#|data:)/);
    expect(pageMarkdown(report)).toContain("![Needles found, by prompt length");
  });
});

describe("the paired bootstrap", () => {
  it("stays within what samples differ by, and is a point where all samples differ alike", () => {
    const pair = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })); // prettier-ignore
    const tasks = fc.array(fc.array(pair, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 }); // prettier-ignore
    fc.assert(
      fc.property(tasks, (some) => {
        const { value, low, high } = pairedDifference(some, 200);
        const apart = some.flat().map(([ours, theirs]) => ours - theirs);
        expect(low).toBeLessThanOrEqual(high);
        for (const end of [low, high, value]) {
          expect(end).toBeGreaterThanOrEqual(Math.min(...apart) - 1e-9);
          expect(end).toBeLessThanOrEqual(Math.max(...apart) + 1e-9);
        }
      }),
      { numRuns: 30 },
    );
    const { value, low, high } = pairedDifference([[[1, 0.5], [0.75, 0.25]], [[0.5, 0]]]); // prettier-ignore
    expect([value, low, high]).toEqual([0.5, 0.5, 0.5]);
  });

  it("covers a true difference about as often as it says", () => {
    let covered = 0;
    for (let i = 0; i < 100; i++) {
      let state = i + 1;
      const next = () => (state = (state * 16807) % 2147483647) / 2147483647;
      for (let warm = 0; warm < 5; warm++) next();
      const pairs = Array.from({ length: 40 }, () => [next(), next() - 0.3] as [number, number]);
      const { low, high } = pairedDifference([pairs], 300);
      covered += Number(low <= 0.3 && 0.3 <= high);
    }
    expect(covered).toBeGreaterThanOrEqual(85);
  });
});
