import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Device } from "../ggml/device.ts";
import { readTensor, writeTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { compact } from "./compact.ts";
import { grow } from "./grow.ts";
import type { LayerCache } from "./layer-cache.ts";
import { MemoryLedger } from "./ledger.ts";
import { LayerScratch } from "./layer-scratch.ts";
import { kvFormat } from "./kv-format.ts";

const shape = { nHeadKv: 2, headDim: 32 };
const ROWS = 50;

let device: Device;
beforeAll(() => {
  device = new Device({ threads: 1 });
});
afterAll(() => {
  device[Symbol.dispose]();
});

/** f16 of the integers 0 to 2047. */
const half = (n: number): number => {
  if (n === 0) return 0;
  const exponent = Math.floor(Math.log2(n));
  return ((exponent + 15) << 10) | Math.round((n / 2 ** exponent - 1) * 1024);
};

/** An empty scratch that has a layer at hand. */
async function emptyScratch(size = { past: 0, rows: ROWS }, ledger = new MemoryLedger()) {
  const scratch = new LayerScratch(device, size, [ledger]);
  await scratch.begin(shape, undefined);
  return scratch;
}

/** A scratch whose row r of head h holds the number 100 h + r in every element of K, and twice it in V. */
async function filledScratch(ledger = new MemoryLedger()): Promise<LayerScratch> {
  const scratch = await emptyScratch(undefined, ledger);
  for (let h = 0; h < shape.nHeadKv; h++) {
    for (let r = 0; r < ROWS; r++) {
      const at = (h * scratch.capacity + r) * shape.headDim * 2;
      const row = (n: number) => new Uint16Array(shape.headDim).fill(half(n));
      writeTensor(scratch.k, row(100 * h + r), at);
      writeTensor(scratch.v, row(2 * (100 * h + r)), at);
    }
  }
  return scratch;
}

function rowsOf(layer: LayerCache, tensor: Tensor, head: number): number[] {
  const { row, length } = layer.heads[head] ?? { row: 0, length: 0 };
  return Array.from({ length }, (_, i) => {
    const values = new Uint16Array(layer.headDim);
    readTensor(tensor, values, (row + i) * layer.headDim * 2);
    expect(new Set(values).size).toBe(1);
    const bits = values[0] ?? 0;
    return bits === 0 ? 0 : (1 + (bits & 1023) / 1024) * 2 ** ((bits >> 10) - 15);
  });
}

const keep = (...rows: number[]) => ({
  rows: Int32Array.from(rows),
  positions: Int32Array.from(rows, (r) => 1000 + r),
});
const options = {
  format: kvFormat("f16", { layers: [shape] }),
  padding: "compressed",
  mayTakeOver: false,
} as const;

describe("compact", () => {
  it("keeps any rows of any head, and heads may differ in length", async () => {
    using scratch = await filledScratch();
    const kept = [keep(0, 7, 49), keep(3)];
    using layer = await compact(scratch, kept, options);
    expect(rowsOf(layer, layer.k, 0)).toEqual([0, 7, 49]);
    expect(rowsOf(layer, layer.v, 0)).toEqual([0, 14, 98]);
    expect(rowsOf(layer, layer.k, 1)).toEqual([103]);
    expect(layer.positions(0)).toEqual(Int32Array.of(1000, 1007, 1049));
    expect(layer.groups()).toHaveLength(2);
    expect(layer.kept).toBe(2);
    expect(() => layer.positions(2)).toThrow(/kv head 2 of 2/);
  });

  it("turns the scratch itself into the cache where everything is kept", async () => {
    const ledger = new MemoryLedger();
    using scratch = await filledScratch(ledger);
    const all = keep(...Array.from({ length: ROWS }, (_, i) => i));
    const full = { ...options, padding: "full", mayTakeOver: true } as const;
    using layer = await compact(scratch, [all, all], full);
    expect(ledger.current).toBe(0);
    expect(rowsOf(layer, layer.k, 1)).toEqual(
      all.rows.length ? Array.from(all.rows, (r) => 100 + r) : [],
    );
    expect(layer.groups()).toHaveLength(1);
  });

  it("allocates what it says", async () => {
    using scratch = await filledScratch();
    using layer = await compact(scratch, [keep(1, 2), keep(1, 2)], options);
    expect(layer.bytes).toBeGreaterThanOrEqual(2 * 2 * 32 * shape.headDim * 2);
    expect(layer.bytes).toBeLessThan(2 * 2 * 32 * shape.headDim * 2 + 256);
  });
});

describe("grow", () => {
  it("moves every head's rows to larger memory", async () => {
    using scratch = await filledScratch();
    using layer = await compact(scratch, [keep(5, 6), keep(8, 9, 10)], options);
    const [larger] = (await grow([layer])) as [LayerCache];
    expect(larger.capacity).toBeGreaterThan(layer.capacity);
    expect(rowsOf(larger, larger.k, 0)).toEqual([5, 6]);
    expect(rowsOf(larger, larger.v, 1)).toEqual([216, 218, 220]);
    expect(larger.positions(1)).toEqual(layer.positions(1));
    larger[Symbol.dispose]();
  });
});

describe("LayerScratch", () => {
  it("takes cached tokens back in, right-aligned per head", async () => {
    using scratch = await filledScratch();
    using layer = await compact(scratch, [keep(5, 6, 7), keep(9)], options);
    using next = await emptyScratch({ past: 10, rows: 10 });
    await next.begin(shape, layer);
    expect([next.row(0), next.row(1)]).toEqual([7, next.capacity + 9]);
    using again = await compact(next, [keep(0, 1, 2), keep(0)], options);
    expect(rowsOf(again, again.k, 0)).toEqual([5, 6, 7]);
    expect(rowsOf(again, again.k, 1)).toEqual([109]);
  });

  it("serves layers of other shapes one after the other", async () => {
    const ledger = new MemoryLedger();
    using scratch = await filledScratch(ledger);
    const bytes = ledger.current;
    await scratch.begin({ nHeadKv: 4, headDim: 64 }, undefined);
    expect(ledger.current).toBe(0);
    void scratch.k;
    expect(ledger.current).toBe(4 * bytes);
    expect(ledger.peak).toBe(4 * bytes);
  });

  it("refuses to be used after its disposal", async () => {
    const scratch = await filledScratch();
    scratch[Symbol.dispose]();
    expect(() => scratch.k).toThrow(/this LayerScratch was disposed/);
  });
});
