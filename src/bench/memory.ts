import { plan } from "../plan/plan.ts";
import { measureMemory, PEAK_TOKENS } from "./peak-memory.ts";
import { atMost, type TargetRow } from "./targets.ts";

/** What is predicted and measured. */
interface Configuration {
  /** Tokens of the prompt, about. */
  readonly length: number;
  readonly method: string;
  readonly kvSize: number;
  readonly kvType?: string;
}

/** Short and long prompts, everything kept and little, every kind of cache. */
// prettier-ignore
export const MEMORY_CONFIGURATIONS: readonly Configuration[] = [
  { length: 500, method: "full", kvSize: 128 },
  { length: 2000, method: "full", kvSize: 128 },
  { length: 6000, method: "full", kvSize: 128 },
  { length: 2000, method: "full", kvSize: 128, kvType: "q8_0" },
  { length: 500, method: "pyramidkv", kvSize: 128 },
  { length: 6000, method: "pyramidkv", kvSize: 128 },
  { length: 6000, method: "pyramidkv", kvSize: 1024, kvType: "q4_0" },
  { length: 2000, method: "snapkv", kvSize: 512 },
  { length: 6000, method: "h2o", kvSize: 256 },
  { length: 6000, method: "every:64(streaming-llm)", kvSize: 1024, kvType: "q8_0" },
];

export interface MemoryRow extends Configuration {
  readonly promptTokens: number;
  /** Bytes predicted and measured. */
  readonly kv: Pair;
  readonly kvPeak: Pair;
  readonly total: Pair;
}

interface Pair {
  readonly predicted: number;
  readonly measured: number;
}

export interface MemoryBenchOptions {
  readonly modelPath: string;
  readonly kernels: string;
  readonly ownKernels: boolean;
  readonly threads: number;
  /** Text of about this many tokens. */
  readonly textOf: (tokens: number) => string;
  readonly onStep?: (done: number, total: number) => void;
}

/** What `plan` predicts beside what a process of its own then holds. */
export async function compareMemory(o: MemoryBenchOptions): Promise<MemoryRow[]> {
  const rows: MemoryRow[] = [];
  for (const configuration of MEMORY_CONFIGURATIONS) {
    const { length, ...options } = configuration;
    const { kv, memory, promptTokens } = await measureMemory({
      ...o,
      ...options,
      text: o.textOf(length),
    });
    const { compressed } = await plan({
      ...options,
      model: o.modelPath,
      ownKernels: o.ownKernels,
      context: promptTokens,
      newTokens: PEAK_TOKENS,
    });
    const pair = (predicted: number, measured: number): Pair => ({ predicted, measured });
    rows.push({
      ...configuration,
      promptTokens,
      kv: pair(compressed.kv.bytes, kv.bytes),
      kvPeak: pair(compressed.kv.peakBytes, kv.peakBytes),
      total: pair(compressed.total, memory.peakRssBytes),
    });
    o.onStep?.(rows.length, MEMORY_CONFIGURATIONS.length);
  }
  return rows;
}

/** Predictions must come near: the cache within 1 %, the process within 10 %. */
export function memoryTargets(rows: readonly MemoryRow[]): TargetRow[] {
  const worst = (of: (row: MemoryRow) => Pair) =>
    Math.max(...rows.map(of).map(({ predicted, measured }) => Math.abs(predicted / measured - 1)));
  return [
    atMost(
      "KV after the prompt, predicted against measured, the worst",
      100 * worst((r) => r.kv),
      1,
    ),
    atMost("peak of the process, the worst", 100 * worst((r) => r.total), 10),
  ];
}
