import type { Comparison } from "./compare.ts";

/** One line of the comparison: what was measured, and the bar that the project set itself. */
export interface TargetRow {
  readonly what: string;
  readonly measured: string;
  readonly must: string;
  readonly pass: boolean;
}

/** A row for a value that must not be below its bar. */
export function atLeast(what: string, value: number, must: number, unit = "×"): TargetRow {
  const measured = `${value.toFixed(2)}${unit}`;
  return { what, measured, must: `≥ ${must}${unit}`, pass: value >= must };
}

/** A row for a value that must not be above its bar. */
export function atMost(what: string, value: number, must: number, unit = "%"): TargetRow {
  const measured = `${value.toFixed(2)}${unit}`;
  return { what, measured, must: `≤ ${must}${unit}`, pass: value <= must };
}

/** Holds the measurements against what a compressed cache must show beside libllama. */
export function targetRows(
  comparisons: readonly Comparison[],
  load: { ratio: number; oursMs: number; libllamaMs: number },
  budgetTotal: number,
): TargetRow[] {
  const rows: TargetRow[] = [];
  const longest = comparisons.at(-1);
  for (const c of comparisons) {
    const n = c.promptTokens;
    rows.push({
      what: `logits after ${n} tokens with ggml's operations, largest difference to libllama`,
      measured: String(c.logitsDifference),
      must: "≤ 0.001",
      pass: c.logitsDifference <= 1e-3,
    });
    rows.push({
      what: `greedy tokens after ${n} with ggml's operations, full cache`,
      measured: c.sameTokens ? "identical" : "different",
      must: "identical",
      pass: c.sameTokens,
    });
    if (n < 2000) continue;
    rows.push(
      atLeast(`prefill of ${n}, full cache, against libllama`, c.full.prefillRatio, 1),
      atLeast(`prefill of ${n}, pyramidkv, against libllama`, c.compressed.prefillRatio, 1),
    );
  }
  if (longest === undefined) return rows;
  const { full, compressed, promptTokens: n } = longest;
  const bound = compressed.layerBytes + compressed.kvBytes;
  rows.push(
    atLeast(`decode after ${n}, full cache, against libllama`, full.decodeRatio, 1),
    atLeast(
      `decode after ${n}, pyramidkv, against libllama's full cache`,
      compressed.decodeRatio,
      5,
    ),
    atMost("share of a decode step outside ggml, pyramidkv", compressed.javascriptShare * 100, 5),
    atMost("KV held after prefill, of full", (compressed.kvBytes / compressed.fullBytes) * 100, 3),
    atMost("KV peak, of one full layer + what is kept", (compressed.peakBytes / bound) * 100, 105),
  );
  rows.push({
    what: "tokens kept, summed over the layers",
    measured: String(compressed.keptTotal),
    must: `= ${budgetTotal}`,
    pass: compressed.keptTotal === budgetTotal,
  });
  const times = `(${load.oursMs.toFixed(0)} ms), of libllama's ${load.libllamaMs.toFixed(0)} ms`;
  rows.push(atMost(`load time ${times}`, load.ratio, 1.3, "×"));
  return rows;
}
