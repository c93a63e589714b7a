import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { TestFolder } from "../../test/helpers/tiny-model.ts";
import { noiseOf, runGrid, type GridRow } from "../bench/grid.ts";
import { Engine } from "../engine/engine.ts";
import { appendGrid } from "./bench-grid.ts";

const settings = {
  model: 'a "tiny", model',
  kernels: "ggml",
  threads: 1,
  repetitions: 2,
  tokens: 4,
};

async function measured(): Promise<GridRow[]> {
  using folder = new TestFolder();
  const modelPath = folder.tiny({ nLayer: 2, vocabulary: true });
  await using engine = await Engine.load({ model: modelPath, threads: 1 });
  return await runGrid({
    engine,
    modelPath,
    threads: 1,
    lengths: [100, 200],
    repetitions: 2,
    decodeTokens: 4,
    methods: ["full", "snapkv"],
    kvSizes: [32, 64],
    batchSizes: [1, 3],
    tokens: Int32Array.from({ length: 512 }, (_, i) => 3 + (i % 200)),
  });
}

it("measures every method at every size, length and batch, and adds the rows to a file", async () => {
  const rows = await measured();
  const cells = ["100 × 1", "100 × 3", "200 × 1", "200 × 3"];
  expect(rows.map((r) => `${r.promptTokens} × ${r.batch} ${r.method} ${r.kvSize ?? ""}`)).toEqual(
    cells.flatMap((n) => [`${n} libllama `, `${n} full `, `${n} snapkv 32`, `${n} snapkv 64`]),
  );
  for (const row of rows) {
    for (const s of [row.prefill, row.decode, row.firstTokenMs]) {
      expect(s.min).toBeGreaterThan(0);
      expect(s.median).toBeGreaterThanOrEqual(s.min);
      expect(s.max).toBeGreaterThanOrEqual(s.median);
    }
  }
  const [, full, small, , , fullOfThree, smallOfThree] = rows;
  expect(small?.kv?.bytes).toBeLessThan(full?.kv?.bytes ?? 0);
  expect(smallOfThree?.kv?.bytes).toBe(3 * (small?.kv?.bytes ?? 0));
  expect(fullOfThree?.kv?.fullBytes).toBe(3 * (full?.kv?.fullBytes ?? 0));

  const folder = mkdtempSync(join(tmpdir(), "pyramidkv-grid-"));
  try {
    const path = join(folder, "results.csv");
    await appendGrid(path, rows, settings);
    await appendGrid(path, rows, settings);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(1 + 2 * rows.length);
    expect(lines[1]).toContain('"a ""tiny"", model"');
    writeFileSync(path, "something,else\n");
    await expect(appendGrid(path, rows, settings)).rejects.toThrow(/holds other columns/);
    await expect(appendGrid(folder, rows, settings)).rejects.toThrow(/cannot be written/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("says how far a noisy machine swings", () => {
  const steady = { median: 100, min: 95, max: 105 };
  const row = { promptTokens: 1, batch: 1, method: "libllama", prefill: steady, decode: steady, firstTokenMs: steady }; // prettier-ignore
  expect(noiseOf([row])).toBeUndefined();
  expect(noiseOf([{ ...row, decode: { median: 100, min: 60, max: 140 } }])).toBeCloseTo(0.4);
});
