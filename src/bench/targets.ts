import type { Comparison } from "./compare.ts";

/** One line of the comparison: what was measured, and the bar that the project set itself. */
export interface TargetRow {
  readonly what: string;
  readonly measured: string;
  readonly must: string;
  readonly pass: boolean;
}

/** Holds the measurements against the targets of issue "Generate from a PyramidKV-compressed cache". */
export function targetRows(
  comparisons: readonly Comparison[],
  load: { ratio: number; oursMs: number; libllamaMs: number },
  budgetTotal: number,
): TargetRow[] {
  const rows: TargetRow[] = [];
  const atLeast = (what: string, value: number, must: number, unit = "×") =>
    rows.push({
      what,
      measured: `${value.toFixed(2)}${unit}`,
      must: `≥ ${must}${unit}`,
      pass: value >= must,
    });
  const longest = comparisons.at(-1);
  for (const c of comparisons) {
    const n = c.promptTokens;
    rows.push({
      what: `logits after ${n} tokens, largest difference to libllama`,
      measured: String(c.logitsDifference),
      must: "≤ 0.001",
      pass: c.logitsDifference <= 1e-3,
    });
    rows.push({
      what: `greedy tokens after ${n}, full cache`,
      measured: c.sameTokens ? "identical" : "different",
      must: "identical",
      pass: c.sameTokens,
    });
    if (n < 2000) continue;
    atLeast(`prefill of ${n}, full cache, against libllama`, c.full.prefillRatio, 1);
    atLeast(`prefill of ${n}, pyramidkv, against libllama`, c.compressed.prefillRatio, 1);
  }
  if (longest === undefined) return rows;
  const { full, compressed, promptTokens: n } = longest;
  atLeast(`decode after ${n}, full cache, against libllama`, full.decodeRatio, 1);
  atLeast(`decode after ${n}, pyramidkv, against libllama's full cache`, compressed.decodeRatio, 5);
  const atMost = (what: string, value: number, must: number, unit = "%") =>
    rows.push({
      what,
      measured: `${value.toFixed(2)}${unit}`,
      must: `≤ ${must}${unit}`,
      pass: value <= must,
    });
  atMost("time of a decode step outside ggml, pyramidkv", compressed.javascriptShare * 100, 5);
  atMost("KV held after prefill, of full", (compressed.kvBytes / compressed.fullBytes) * 100, 3);
  const bound = compressed.layerBytes + compressed.kvBytes;
  atMost("KV peak, of one full layer + what is kept", (compressed.peakBytes / bound) * 100, 105);
  rows.push({
    what: "tokens kept, summed over the layers",
    measured: String(compressed.keptTotal),
    must: `= ${budgetTotal}`,
    pass: compressed.keptTotal === budgetTotal,
  });
  atMost(
    `load time (${load.oursMs.toFixed(0)} ms), of libllama's ${load.libllamaMs.toFixed(0)} ms`,
    load.ratio,
    1.3,
    "×",
  );
  return rows;
}
