import { existsSync, readFileSync } from "node:fs";
import { effectiveOptions } from "../compression/resolve.ts";
import type { Engine } from "../engine/engine.ts";
import type { KvReport } from "../engine/kv-report.ts";
import type { Session } from "../engine/session.ts";
import { formatBytes, sparkline, style, table } from "./io.ts";

/** The `model` part of JSON results. */
export function modelResult({ model }: Engine) {
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
export function methodResult({ compression }: Session) {
  const { kvSize = null, ...rest } = effectiveOptions(compression);
  return { name: compression.method.name, kvSize, ...rest };
}

/** The `memory` part of JSON results, in bytes: of the whole process, not of the cache alone. */
export function memoryResult(engine: Engine) {
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
export function timingsResult(engine: Engine, { timings: t }: Session, timeToFirstTokenMs: number) {
  const perSecond = (tokens: number, ms: number) => (ms > 0 ? (tokens / ms) * 1000 : 0);
  return {
    loadMs: engine.loadMs,
    prefillMs: t.prefillMs,
    compressMs: t.compressMs,
    decodeMs: t.decodeMs,
    prefillTokensPerSecond: perSecond(t.prefillTokens, t.prefillMs),
    decodeTokensPerSecond: perSecond(t.decodedTokens, t.decodeMs),
    timeToFirstTokenMs,
  };
}

/** What a run kept and how fast it was, in three lines for people. */
export function summary(
  kv: KvReport,
  peakBytes: number,
  promptTokens: number,
  timings: ReturnType<typeof timingsResult>,
): string {
  const share = ((kv.bytes / kv.fullBytes) * 100).toFixed(1);
  const evicted = kv.meanKept < promptTokens;
  return [
    `kept  ${sparkline(kv.layers.map((l) => l.kept))}  ${Math.round(kv.meanKept)} of ${promptTokens} tokens per layer`,
    `KV    ${formatBytes(kv.fullBytes)} full, ${evicted ? `${formatBytes(kv.bytes)} held (${share} %)` : `nothing evicted, ${formatBytes(kv.bytes)} held`}, peak ${formatBytes(peakBytes)}`,
    `time  first token ${(timings.timeToFirstTokenMs / 1000).toFixed(2)} s, prefill ${timings.prefillTokensPerSecond.toFixed(0)} tokens/s, decode ${timings.decodeTokensPerSecond.toFixed(1)} tokens/s`,
  ]
    .map((line) => style("dim", line))
    .join("\n");
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
