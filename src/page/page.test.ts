import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { draw } from "./draw.ts";
import { GLOSSARY, termPattern, termsOf } from "./glossary.ts";
import { pageHtml } from "./html.ts";
import { placeLabels } from "./labels.ts";
import { pageMarkdown } from "./markdown.ts";
import type { Page } from "./page.ts";
import { lookOf, seriesLines } from "./series.ts";

const page: Page = {
  title: "A <page>",
  notes: ["What the full cache holds, and what a kv head keeps."],
  sections: [
    {
      title: "One & only",
      notes: ["The kv heads and the kv heads again; overkept is no word of ours."],
      tables: [{ title: "Bytes", head: ["method", "MB held"], rows: [["a|b", "<1"]] }],
      charts: [{ name: "c", caption: "Tokens kept.", svg: "<svg></svg>" }],
    },
    { title: "Two", notes: [], tables: [], charts: [] },
  ],
  made: { command: "pyramidkv report 'a<b'", date: "2026-01-02", version: "1.2.3" },
};

describe("a page", () => {
  const html = pageHtml(page);

  it("says when and how it was made", () => {
    expect(html).toContain("2026-01-02</time> by pyramidkv 1.2.3");
    expect(html).toContain("<code>pyramidkv report 'a&lt;b'</code>");
    expect(pageMarkdown(page)).toContain("Made on 2026-01-02 by pyramidkv 1.2.3: `pyramidkv");
  });

  it("has contents and words, and every link leads to a place in it", () => {
    const ids = new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    const links = [...html.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
    expect(links.filter((id) => id?.startsWith("word-") !== true)).toEqual([
      ...["section-1", "section-2", "words"],
    ]);
    expect(links.filter((id) => !ids.has(id))).toEqual([]);
    expect(termsOf(page).map(({ term }) => term)).toEqual([
      ...["full cache", "kept", "kv head", "MB held"],
    ]);
    for (const { meaning } of termsOf(page)) expect(pageMarkdown(page)).toContain(meaning);
  });

  it("links a term once in a text, in its longest form", () => {
    expect(
      html.match(/word-kv-head">kv heads<\/a> and the kv heads again; overkept/),
    ).not.toBeNull();
    expect(html).toContain('<a class="term" href="#word-kept">Tokens kept</a>');
  });

  it("explains its words in the order of the alphabet, each found by its own name", () => {
    const terms = GLOSSARY.map(({ term }) => term);
    expect(terms).toEqual([...terms].sort((a, b) => a.localeCompare(b, "en")));
    for (const own of GLOSSARY) expect(own.term).toMatch(termPattern(own));
  });
});

describe("a chart", () => {
  const names = Array.from({ length: 25 }, (_, i) => `line ${i}`);
  const points = names.flatMap((line, i) => [0, 1, 2].map((x) => ({ line, x, y: i + x })));

  it("gives each of thirty lines a look of its own, and shows it in the legend", () => {
    const looks = Array.from({ length: 30 }, (_, i) => JSON.stringify(lookOf(i)));
    expect(new Set(looks).size).toBe(30);
    const svg = draw({
      series: names,
      marks: seriesLines(points, names, { x: "x", y: "y", series: "line" }),
    });
    for (const name of names) expect(svg).toContain(`>${name}</text>`);
    expect(svg.match(/aria-label="line"/g)).toHaveLength(3);
    expect(svg).not.toMatch(/NaN|undefined/);
  });

  it("places labels where none covers another or a point", () => {
    const bounds = { left: 10, right: 560, top: 20 };
    const spot = fc.record({
      x: fc.double({ min: 20, max: 500, noNaN: true }),
      y: fc.double({ min: 40, max: 300, noNaN: true }),
      text: fc.constantFrom("", "a", "snapkv 128", "online(funnel) 512"),
    });
    fc.assert(
      fc.property(fc.array(spot, { maxLength: 25 }), (spots) => {
        const placed = placeLabels(spots, bounds);
        expect(placed.every(({ text }) => text !== "")).toBe(true);
        const boxes = placed.map(
          ({ x, y, text }) => [x, y - 11, x + 5.4 * text.length, y] as const,
        );
        boxes.forEach(([left, top, right, bottom], i) => {
          expect(left).toBeGreaterThanOrEqual(bounds.left);
          expect(right).toBeLessThanOrEqual(bounds.right);
          for (const [l, t, r, b] of boxes.slice(i + 1)) {
            expect(left < r && l < right && top < b && t < bottom).toBe(false);
          }
          for (const { x, y } of spots) {
            expect(left < x && x < right && top < y && y < bottom).toBe(false);
          }
        });
      }),
    );
    expect(placeLabels([{ x: 100, y: 100, text: "one" }], bounds)).toHaveLength(1);
  });
});
