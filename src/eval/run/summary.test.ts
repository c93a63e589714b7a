import { expect, it } from "vitest";
import type { ResultRow } from "./result-row.ts";
import { summarise } from "./summary.ts";

const row = (version: number, score: number) =>
  ({
    ...{
      task: "needle",
      sample: "a",
      mode: "aware",
      method: "snapkv",
      kvType: "f16",
      score,
      version,
    },
    options: { kvSize: 64 },
    kv: { bytes: 10, keptBytes: 8, fullBytes: 80 },
  }) as unknown as ResultRow;

it("keeps versions of tasks apart, which are not comparable", () => {
  const lines = summarise([row(1, 0), row(2, 1), row(2, 0.5)]);
  expect(lines.map(({ name, average }) => [name, average])).toEqual([
    ["snapkv, version 1", 0],
    ["snapkv, version 2", 75],
  ]);
  expect(summarise([row(2, 1)])[0]?.name).toBe("snapkv");
});
