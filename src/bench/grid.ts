import type { Engine } from "../engine/engine.ts";
import { throwIfAborted } from "../errors.ts";
import {
  runLibllama,
  runOurs,
  type CompareOptions,
  type OurSample,
  type Sample,
} from "./compare.ts";
import { spreadOf, type Spread } from "./statistics.ts";

export interface GridOptions extends Pick<
  CompareOptions,
  "modelPath" | "threads" | "tokens" | "lengths" | "decodeTokens" | "repetitions"
> {
  readonly engine: Engine;
  readonly methods: readonly string[];
  readonly kvSizes: readonly number[];
  /** Sequences that decode together. */
  readonly batchSizes: readonly number[];
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (done: number, total: number) => void;
}

/** One way to run on one prompt, over all rounds. */
export interface GridRow {
  readonly promptTokens: number;
  /** Sequences that decode together, all after this prompt, which is read once. */
  readonly batch: number;
  /** `libllama`, or a method. */
  readonly method: string;
  /** Absent where nothing is evicted. */
  readonly kvSize?: number;
  /** Tokens per second, of all sequences together. */
  readonly prefill: Spread;
  readonly decode: Spread;
  readonly firstTokenMs: Spread;
  /** Over libllama's of the same round; absent of libllama. */
  readonly prefillRatio?: Spread;
  readonly decodeRatio?: Spread;
  /** Held after the prompt, at the most, and by the full cache, of all sequences. */
  readonly kv?: { readonly bytes: number; readonly peakBytes: number; readonly fullBytes: number };
}

interface Way {
  readonly method: string;
  readonly kvSize?: number;
}

/** Every method at every size on every length, each round beside libllama's own run of the same tokens. */
export async function runGrid(o: GridOptions): Promise<GridRow[]> {
  const ways = o.methods.flatMap((method): Way[] =>
    method === "full" ? [{ method }] : o.kvSizes.map((kvSize) => ({ method, kvSize })),
  );
  const cells = o.lengths.flatMap((length) => o.batchSizes.map((batch) => ({ length, batch })));
  const total = cells.length * o.repetitions * (ways.length + 1) + 1;
  let done = 0;
  const step = () => {
    throwIfAborted(o.signal);
    o.onStep?.(++done, total);
  };
  // Warm-up, not counted.
  await runOurs(o.engine, { ...o, kvSize: 128 }, "full", o.tokens.slice(0, 512));
  step();
  const rows: GridRow[] = [];
  for (const { length, batch } of cells) {
    const prompt = o.tokens.slice(0, length);
    const peers: Sample[] = [];
    const ours = ways.map((): OurSample[] => []);
    for (let round = 0; round < o.repetitions; round++) {
      peers.push(await runLibllama(o, prompt, batch));
      step();
      for (const [i, { method, kvSize = 128 }] of ways.entries()) {
        ours[i]?.push(await runOurs(o.engine, { ...o, kvSize }, method, prompt, batch));
        step();
      }
    }
    const cell = { promptTokens: length, batch };
    rows.push({ ...cell, method: "libllama", ...speeds(peers) });
    for (const [i, way] of ways.entries()) rows.push(rowOf(cell, way, ours[i] ?? [], peers));
  }
  return rows;
}

/** Half of the way from the slowest to the fastest run of the same work beyond this share of the median is noise. */
const NOISE = 0.15;

/** How far libllama's own speed swings between rounds, where that makes single figures worthless. */
export function noiseOf(rows: readonly GridRow[]): number | undefined {
  const swings = rows
    .filter(({ method }) => method === "libllama")
    .flatMap(({ prefill, decode }) => [prefill, decode])
    .map(({ median, min, max }) => (max - min) / 2 / median);
  const worst = Math.max(0, ...swings);
  return worst > NOISE ? worst : undefined;
}

function rowOf(
  cell: Pick<GridRow, "promptTokens" | "batch">,
  way: Way,
  samples: readonly OurSample[],
  peers: readonly Sample[],
): GridRow {
  const [first] = samples as [OurSample];
  const { kvBytes: bytes, peakBytes, fullBytes } = first;
  const ratio = (of: "prefill" | "decode") =>
    spreadOf(samples.map((s, i) => s[of] / (peers[i]?.[of] ?? NaN)));
  return {
    ...cell,
    ...way,
    ...speeds(samples),
    prefillRatio: ratio("prefill"),
    decodeRatio: ratio("decode"),
    kv: { bytes, peakBytes, fullBytes },
  };
}

function speeds(samples: readonly Sample[]) {
  return {
    prefill: spreadOf(samples.map((s) => s.prefill)),
    decode: spreadOf(samples.map((s) => s.decode)),
    firstTokenMs: spreadOf(samples.map((s) => s.firstTokenMs)),
  };
}
