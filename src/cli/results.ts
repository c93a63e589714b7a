import { existsSync, readFileSync } from "node:fs";
import { effectiveOptions } from "../compression/resolve.ts";
import type { Engine } from "../engine/engine.ts";
import type { KvReport } from "../engine/kv-report.ts";
import type { Session } from "../engine/session.ts";
import type { MemoryJson, MethodJson, ModelJson, TimingsJson } from "./json.ts";
import { formatBytes, sparkline, table } from "./format.ts";
import { style } from "./terminal.ts";

/** The `model` part of JSON results. */
export function modelResult({ model }: Engine): ModelJson {
  return {
    name: model.name,
    architecture: model.architecture,
    layers: model.nLayer,
    heads: model.nHead,
    kvHeads: model.nHeadKv,
    headDim: model.headDim,
    context: model.nCtx,
  };
}

/** The `method` part of JSON results: its name and every option that has an effect on it. */
export function methodResult({ compression }: Session): MethodJson {
  const { kvSize = null, ...rest } = effectiveOptions(compression);
  return { name: compression.method.name, kvSize, ...rest };
}

/** The `memory` part of JSON results, in bytes: of the whole process, not of the cache alone. */
export function memoryResult(engine: Engine): MemoryJson {
  return {
    weightBytes: engine.weightBytes,
    workspaceBytes: engine.workspaceBytes,
    peakRssBytes: peakRss(),
  };
}

/** Linux keeps it per program; elsewhere a parent's own peak may be counted in. */
function peakRss(): number {
  const status = "/proc/self/status";
  const line = existsSync(status) ? /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8")) : null;
  return Number(line?.[1] ?? process.resourceUsage().maxRSS) * 1024;
}

/** The `timings` part of JSON results. */
export function timingsResult(
  engine: Engine,
  { timings: t }: Session,
  timeToFirstTokenMs: number,
): TimingsJson {
  return {
    loadMs: engine.loadMs,
    prefillMs: t.prefillMs,
    compressMs: t.compressMs,
    decodeMs: t.decodeMs,
    prefillTokensPerSecond: t.prefillTokensPerSecond,
    decodeTokensPerSecond: t.decodeTokensPerSecond,
    timeToFirstTokenMs,
  };
}

/** What a run kept and how fast it was, in three lines for people. */
export function summary(
  kv: KvReport,
  peakBytes: number,
  promptTokens: number,
  timings: TimingsJson,
): string {
  const kept = Math.round(kv.meanKept);
  return [
    `kept  ${sparkline(kv.layers.map((l) => l.kept))}  ${kept} of ${promptTokens} tokens per layer`,
    `KV    ${formatBytes(kv.fullBytes)} full, ${keptBytes(kv)}, peak ${formatBytes(peakBytes)}`,
    `time  first token ${(timings.timeToFirstTokenMs / 1000).toFixed(2)} s, prefill ${timings.prefillTokensPerSecond.toFixed(0)} tokens/s, decode ${timings.decodeTokensPerSecond.toFixed(1)} tokens/s`,
  ]
    .map((line) => style("dim", line))
    .join("\n");
}

/** What is kept of a conversation, in a line. */
export function keptLine(kv: KvReport, nPast: number): string {
  const kept = Math.round(kv.meanKept);
  return `${kept} of ${nPast} tokens per layer, ${keptBytes(kv)}`;
}

/** `1.47 MB kept (3.2 %), 1.62 MB with padding` */
function keptBytes({ bytes, fullBytes, keptBytes, stateBytes }: KvReport): string {
  const share =
    keptBytes < fullBytes ? `(${((keptBytes / fullBytes) * 100).toFixed(1)} %)` : "(all)";
  const states = stateBytes > 0 ? `, ${formatBytes(stateBytes)} of each are states` : "";
  return `${formatBytes(keptBytes)} kept ${share}, ${formatBytes(bytes)} with room for more${states}`;
}

/** Why an answer ended before the model ended it, where that is so. */
export function cutNote(
  finishReason: string | undefined,
  maxTokens: number,
  { room }: Session,
): string | undefined {
  if (finishReason !== "length") return undefined;
  if (room === 0) return "[cut: the context is full]";
  return `[cut at ${maxTokens} tokens; -n sets how many]`;
}

/** One row per layer with a bar, for `/kv` and the like. */
export function layerTable(kv: KvReport): string {
  const max = Math.max(1, ...kv.layers.map((l) => l.kept));
  return table(
    ["layer", "kept", "bytes", ""],
    kv.layers.map((l) => [
      String(l.layer),
      String(Math.round(l.kept)),
      formatBytes(l.bytes),
      "█".repeat(Math.max(1, Math.round((l.kept / max) * 40))),
    ]),
  );
}
