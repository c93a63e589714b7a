import { expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { analysisTargets, compareAnalysis } from "./analysis.ts";

it("measures short texts first, a ratio a round, and asks for memory up to 8,000 tokens", async () => {
  using folder = new TestFolder();
  await using engine = await Engine.load({
    model: folder.tiny({ vocabulary: true }),
    threads: 1,
  });
  const steps: string[] = [];
  const rows = await compareAnalysis({
    engine,
    tokens: Int32Array.from(randomTokens(200)),
    lengths: [200, 100],
    repetitions: 2,
    onStep: (done, total) => steps.push(`${done}/${total}`),
  });
  expect(rows.map(({ tokens, ratios }) => [tokens, ratios.length])).toEqual([
    [100, 2],
    [200, 2],
  ]);
  expect(steps).toEqual(["1/4", "2/4", "3/4", "4/4"]);
  const [row] = rows as [(typeof rows)[number]];
  const asked = [
    { ...row, tokens: 8000, ratios: [2, 9, 3], peakRssBytes: 1.1e9 },
    { ...row, tokens: 8001, ratios: [3.2, 2.9, 3.1] },
  ];
  expect(analysisTargets(asked).map(({ measured, pass }) => [measured, pass])).toEqual([
    ["3.00×", true],
    ["1.10 GB", false],
    ["3.10×", false],
  ]);
});
