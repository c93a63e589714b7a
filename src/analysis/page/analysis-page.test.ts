import { csvParse } from "d3-dsv";
import { beforeAll, describe, expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../../test/helpers/tiny-model.ts";
import { Engine } from "../../engine/engine.ts";
import type { PageSection } from "../../page/page.ts";
import { pageHtml } from "../../page/html.ts";
import { analyze } from "../analyze.ts";
import { analysisCsv } from "../csv.ts";
import { fitBudget } from "../fit.ts";
import { retention } from "../retention.ts";
import { namesOf, waysNames, type Analyzed } from "../analyzed.ts";
import { ranges } from "./format.ts";
import { analysisPage } from "./analysis-page.ts";

let all: Analyzed[];
beforeAll(async () => {
  using folder = new TestFolder();
  await using engine = await Engine.load({ model: folder.tiny({ vocabulary: true }), threads: 1 });
  const ways = [
    ...[48, 64].flatMap((kvSize) => ["snapkv", "h2o"].map((method) => ({ method, kvSize }))),
    ...[1, 4].map((alpha) => ({ method: "snapkv", kvSize: 48, alpha })),
  ];
  all = [];
  for (const [i, text] of ["one & only", "two"].entries()) {
    const tokens = randomTokens(300).map((t) => 3 + ((t + i) % 300));
    const found = await analyze(engine, tokens);
    const fitted = [48, 64].map((kvSize) => fitBudget(found.needs, { kvSize, n: 300 }));
    const kept = await retention(engine, tokens, { ways, follow: 128 });
    all.push({ model: "tiny", text, found, fitted, retention: kept });
  }
});

describe("the page of an analysis", () => {
  it("has a section for each study of each text, and one for each size", async () => {
    const { sections, title } = await analysisPage(all);
    expect(title).toBe("Where attention goes: tiny");
    const own = (name: string) => [
      ...["the funnel", "how many tokens attention needs", "near and far", "maps"],
      ...["what 48 tokens a layer hold", "what 64 tokens a layer hold"],
    ].map((part) => `${name}: ${part}`); // prettier-ignore
    expect(sections.map((section) => section.title)).toEqual([
      ...["All texts", ...own("one & only"), ...own("two")],
    ]);
    for (const { svg } of sections.flatMap(({ charts }) => charts)) {
      expect(svg).toMatch(/^<svg [^]*<\/svg>$/);
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    }
    const tables = sections.flatMap((section) => section.tables);
    for (const { head, rows } of tables) {
      expect(new Set(head).size).toBe(head.length);
      for (const row of rows) {
        expect(row).toHaveLength(head.length);
        expect(row.join()).not.toMatch(/NaN|undefined/);
      }
    }
  });

  it("names its texts safely, and needs nothing else", async () => {
    const html = pageHtml(await analysisPage(all));
    expect(html).toContain("one &amp; only: the funnel");
    expect(html).not.toMatch(/(src|href)="(?!data:|#)/);
  });

  it("is of fewer parts where fewer studies were made", async () => {
    const [{ found, text, model }] = all as [Analyzed];
    const { funnel: _f, needs: _n, locality, maps: _m, ...base } = found;
    const few = { model, text, fitted: [], found: { ...base, ...(locality && { locality }) } };
    const { sections } = await analysisPage([few]);
    expect(sections.map(({ title }) => title)).toEqual(["one & only: near and far"]);
  });
});

it("a page of the least: one layer, one kv head, a few tokens, sizes beyond them", async () => {
  using folder = new TestFolder();
  const model = folder.tiny({ vocabulary: true, nLayer: 1, nHead: 1, nHeadKv: 1, headDim: 16 });
  await using engine = await Engine.load({ model, threads: 1 });
  const tokens = randomTokens(16);
  const found = await analyze(engine, tokens);
  const fitted = [fitBudget(found.needs, { kvSize: 4000, n: 16 })];
  const ways = [{ method: "snapkv", kvSize: 4000 }];
  const kept = await retention(engine, tokens, { ways, follow: 500 });
  expect(found.locality.windows).toEqual([]);
  expect(fitted).toMatchObject([{ kvSize: 16, budgets: [[16]] }]);
  expect(kept).toMatchObject({ before: 8, follow: 8 });
  const { sections } = await analysisPage([
    { model, text: "least", found, fitted, retention: kept },
  ]);
  const { tables } = sections.at(-1) as PageSection;
  expect(tables[0]?.head).toContain("held of the next 8 tokens");
  expect(tables[0]?.rows[0]?.slice(-2)).toEqual(["–", "–"]);
  expect(pageHtml({ title: "", notes: [], sections })).not.toMatch(/NaN|undefined|Infinity/);
});

it("a table of single values holds the numbers", () => {
  const rows = csvParse(analysisCsv(all));
  const value = (statistic: string, of: Record<string, string>) => {
    const found = rows.filter((row) =>
      Object.entries({ text: "two", statistic, ...of }).every(([key, x]) => row[key] === x),
    );
    expect(found).toHaveLength(1);
    return Number(found[0]?.value);
  };
  const { found, fitted, retention: kept } = all[1] as Required<Analyzed>;
  const near = (x: number, y: number | undefined) => expect(x).toBeCloseTo(y ?? NaN, 5);
  near(
    value("funnel.topMass", { layer: "2", head: "3", at: "16" }),
    found.funnel?.topMass[2]?.[3]?.[1],
  );
  near(value("funnel.sinks", { layer: "1", head: "0" }), found.funnel?.sinks[1]?.[0]);
  near(
    value("needs.shared", { layer: "0", head: "1", at: "0.05 quantile 0.5" }),
    found.needs?.shared[0]?.[1]?.[2]?.[1],
  );
  near(
    value("locality.outside", { layer: "0", head: "2", at: "64" }),
    found.locality?.outside[0]?.[2]?.[0],
  );
  near(value("fitted.budgets", { layer: "1", head: "0", at: "64" }), fitted[1]?.budgets[1]?.[0]);
  near(
    value("retention.captured", { layer: "2", head: "1", at: "h2o 64" }),
    kept.ways[3]?.captured[2]?.[1],
  );
  near(value("retention.drift", { at: "snapkv 48 α 4 stretch 1" }), kept.ways[5]?.drift[1]);
});

it("names tell apart what differs", () => {
  const [one, two] = all as [Analyzed, Analyzed];
  expect(namesOf(all)).toEqual(["one & only", "two"]);
  expect(namesOf([one, { ...one, model: "large" }])).toEqual(["tiny", "large"]);
  expect(namesOf([one, { ...two, model: "large" }])).toEqual(["tiny: one & only", "large: two"]);
  expect(waysNames([{ method: "h2o", kvSize: 9 }, { method: "full" }])).toEqual(["h2o 9", "full"]);
  const defaults = [{ method: "snapkv" }, { method: "snapkv", alpha: 4 }];
  expect(waysNames(defaults)).toEqual(["snapkv", "snapkv α 4"]);
  expect(ranges([0, 3, 4, 5, 9])).toBe("0, 3–5, 9");
});
