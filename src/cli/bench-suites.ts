import { compareKernels, textOf } from "../bench/compare-kernels.ts";
import { compareAnalysis, analysisTargets } from "../bench/analysis.ts";
import { compare } from "../bench/compare.ts";
import { runGrid, type GridRow } from "../bench/grid.ts";
import { kernelTargetRows } from "../bench/kernel-targets.ts";
import { compareLoadTime } from "../bench/load-time.ts";
import { longOutput, longOutputTargets } from "../bench/long-output.ts";
import { compareMemory, memoryTargets } from "../bench/memory.ts";
import { targetRows, type TargetRow } from "../bench/targets.ts";
import type { Engine } from "../engine/engine.ts";
import { appendGrid, printGrid, type GridOutput } from "./bench-grid.ts";
import { Interrupt } from "./interrupt.ts";
import { formatBytes } from "./format.ts";
import { progressBar } from "./progress.ts";
import { note, style } from "./terminal.ts";
import { loadEngine } from "./load-engine.ts";
import type { ModelFlags } from "./options.ts";

export type BenchFlags = ModelFlags & {
  readonly lengths?: number[];
  readonly tokens: number;
  readonly repetitions: number;
  readonly kvSize: number;
  readonly methods: string[];
  readonly kvSizes: number[];
  readonly batchSizes: number[];
  readonly output: GridOutput;
  readonly append?: string;
  readonly json?: boolean;
};

/** A loaded engine and what is asked of it. */
export interface Setting extends Omit<BenchFlags, "threads"> {
  readonly threads: number;
  readonly modelPath: string;
  readonly engine: Engine;
  readonly text: string;
}

export interface SuiteResult {
  /** Everything measured, for `--json`. */
  readonly json: object;
  readonly head: readonly string[];
  readonly speeds: readonly (readonly string[])[];
  readonly targets: readonly TargetRow[];
}

/** Flags that are options of some suites. */
export type BenchOption = Exclude<keyof BenchFlags, keyof ModelFlags | "json">;

export interface Suite {
  readonly summary: string;
  /** Whether it is run where none is named. */
  readonly isDefault?: boolean;
  readonly options: readonly BenchOption[];
  readonly lengths: readonly number[];
  /** What is to be printed, where it does not print itself. */
  run(setting: Setting, lengths: readonly number[]): Promise<SuiteResult | undefined>;
}

/** What `bench` measures. */
export const SUITES: Readonly<Record<string, Suite>> = {
  engine: {
    isDefault: true,
    options: ["lengths", "tokens", "repetitions", "kvSize"],
    summary: "full and compressed caches beside libllama: speed, memory, load time, exactness",
    lengths: [512, 2000, 6000],
    run: benchEngine,
  },
  grid: {
    options: [
      "lengths",
      "tokens",
      "repetitions",
      "methods",
      "kvSizes",
      "batchSizes",
      "output",
      "append",
    ],
    summary: "any methods, sizes, lengths and batches beside libllama: speed, first token, memory",
    lengths: [512, 2000],
    run: benchGrid,
  },
  prefill: {
    options: ["lengths", "tokens", "repetitions", "kvSize"],
    summary: "our kernels beside libllama and ggml's operations: attention, prompts, accuracy",
    lengths: [2000, 6000],
    run: benchPrefill,
  },
  memory: {
    options: [],
    summary: "what pyramidkv plan predicts beside what a process then holds, 10 configurations",
    lengths: [],
    run: benchMemory,
  },
  long: {
    options: ["lengths", "tokens", "kvSize"],
    summary:
      "a long answer from a cache of fixed size: bytes, speed and divergence; give it --tokens 4000",
    lengths: [1000],
    run: benchLong,
  },
  analysis: {
    options: ["lengths", "repetitions"],
    summary: "the studies of a text beside its prefill: time and memory",
    lengths: [8000],
    run: benchAnalysis,
  },
};

/** What recompresses while it decodes. */
const LONG_METHODS = ["every:64(pyramidkv)", "every:64(snapkv)", "every:64(h2o)", "every:64(r-kv)"];

async function benchEngine(s: Setting, lengths: readonly number[]): Promise<SuiteResult> {
  const load = await compareLoadTime(s.modelPath, s.threads, s.repetitions);
  await using exact = await loadEngine({ ...s, model: s.modelPath, kernels: "ggml" });
  using bar = progressBar("bench", "count");
  const comparisons = await compare({
    engine: s.engine,
    exact,
    modelPath: s.modelPath,
    threads: s.threads,
    lengths,
    tokens: tokensOf(s, lengths),
    decodeTokens: s.tokens,
    repetitions: s.repetitions,
    kvSize: s.kvSize,
    onStep: (done, total) => bar.update(done, total),
  });
  return {
    json: { load, comparisons },
    head: ["prompt", "engine, cache", "prefill tokens/s", "decode tokens/s"],
    speeds: comparisons.flatMap((c) => [
      [String(c.promptTokens), "libllama, full", ...speed(c.libllama)],
      ["", "pyramidkv, full", ...speed(c.full)],
      ["", `pyramidkv, ${s.kvSize} kept`, ...speed(c.compressed)],
    ]),
    targets: targetRows(comparisons, load, s.engine.model.nLayer * s.kvSize),
  };
}

async function benchGrid(s: Setting, lengths: readonly number[]): Promise<undefined> {
  using interrupt = new Interrupt();
  const bar = progressBar("bench", "count");
  const { engine, modelPath, threads, repetitions, tokens, methods, kvSizes, batchSizes } = s;
  let rows: GridRow[];
  try {
    rows = await runGrid({
      engine,
      modelPath,
      threads,
      lengths,
      repetitions,
      methods,
      kvSizes,
      batchSizes,
      tokens: tokensOf(s, lengths),
      decodeTokens: tokens,
      signal: interrupt.signal,
      onStep: (done, total) => bar.update(done, total),
    });
  } finally {
    bar.stop();
  }
  const model = s.engine.model.name;
  const settings = { model, kernels: s.engine.kernels.name, threads, repetitions, tokens };
  printGrid(rows, s.json === true ? "json" : s.output, settings);
  if (s.append !== undefined) await appendGrid(s.append, rows, settings);
}

async function benchPrefill(s: Setting, lengths: readonly number[]): Promise<SuiteResult> {
  const c = await compareKernels({
    engine: s.engine,
    modelPath: s.modelPath,
    kernels: s.kernels ?? "auto",
    threads: s.threads,
    lengths,
    text: s.text,
    tokens: tokensOf(s, lengths),
    decodeTokens: s.tokens,
    repetitions: s.repetitions,
    kvSize: s.kvSize,
    onStep: (what) => note(style("dim", what)),
  });
  const whole = (x: number) => x.toFixed(0);
  return {
    json: { ...c },
    head: ["prompt", "engine", "prefill tokens/s", "decode tokens/s"],
    speeds: c.prompts.flatMap((p) => [
      [String(p.promptTokens), "libllama, full", whole(p.libllama), p.decode.libllama.toFixed(1)],
      ["", "pyramidkv, ggml's operations", whole(p.ggml), p.decode.ggml.toFixed(1)],
      ["", `pyramidkv, ${c.kernels.name}`, whole(p.pyramidkv), p.decode.ours.toFixed(1)],
      ["", "  the same, 1 thread", whole(p.oneThread), ""],
      ["", "  full", whole(p.full), ""],
      ["", "  h2o", whole(p.h2o), ""],
    ]),
    targets: kernelTargetRows(c, s.threads),
  };
}

async function benchMemory(s: Setting): Promise<SuiteResult> {
  using bar = progressBar("memory", "count");
  const rows = await compareMemory({
    modelPath: s.modelPath,
    kernels: s.kernels ?? "auto",
    threads: s.threads,
    ownKernels: s.engine.kernels.name !== "ggml",
    textOf: (length) => textOf(s, length),
    onStep: (done, total) => bar.update(done, total),
  });
  const both = ({ predicted, measured }: { predicted: number; measured: number }) =>
    `${formatBytes(Math.round(predicted))}, ${formatBytes(measured)}`;
  return {
    json: { rows },
    head: ["prompt", "method", "KV type", "KV predicted, measured", "KV peak", "process"],
    speeds: rows.map((r) => [
      ...[String(r.promptTokens), `${r.method} ${r.kvSize}`, r.kvType ?? "f16"],
      ...[both(r.kv), both(r.kvPeak), both(r.total)],
    ]),
    targets: memoryTargets(rows),
  };
}

async function benchLong(s: Setting, [length = 1000]: readonly number[]): Promise<SuiteResult> {
  using bar = progressBar("long output", "count");
  const rows = await longOutput({
    engine: s.engine,
    prompt: tokensOf(s, [length]),
    methods: LONG_METHODS,
    tokens: s.tokens,
    kvSize: s.kvSize,
    onStep: (done, total) => bar.update(done, total),
  });
  return {
    json: { promptTokens: length, tokens: s.tokens, rows },
    head: ["method", "tokens/s first, last", "KV", "KL by quarter", "top-1 by quarter"],
    speeds: rows.map((r) => [
      r.method,
      `${r.speedAtStart.toFixed(0)}, ${r.speedAtEnd.toFixed(0)}`,
      `${formatBytes(r.leastBytes)} to ${formatBytes(r.mostBytes)}`,
      r.kl.map((x) => x.toFixed(3)).join(" "),
      r.top1.map((x) => x.toFixed(2)).join(" "),
    ]),
    targets: longOutputTargets(rows),
  };
}

async function benchAnalysis(s: Setting, lengths: readonly number[]): Promise<SuiteResult> {
  using bar = progressBar("bench", "count");
  const rows = await compareAnalysis({
    engine: s.engine,
    tokens: tokensOf(s, lengths),
    lengths,
    repetitions: s.repetitions,
    onStep: (done, total) => bar.update(done, total),
  });
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return {
    json: { rows },
    head: ["text", "prefill", "analysis", "process, at most"],
    speeds: rows.map((r) => [
      ...[String(r.tokens), seconds(r.prefillMs.median), seconds(r.analysisMs.median)],
      formatBytes(r.peakRssBytes),
    ]),
    targets: analysisTargets(rows),
  };
}

/** Tokens of the haystack, over again until there are enough for the longest prompt. */
function tokensOf({ engine, text }: Setting, lengths: readonly number[]): Int32Array {
  const tokens = engine.tokenizer.encode(text, { parseSpecial: false });
  const n = Math.max(...lengths);
  return Int32Array.from({ length: n }, (_, i) => tokens[i % tokens.length] as number);
}

function speed(s: { prefill: number; decode: number }): string[] {
  return [s.prefill.toFixed(0), s.decode.toFixed(1)];
}
