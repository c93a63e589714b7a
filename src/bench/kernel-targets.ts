import type { KernelComparison } from "./compare-kernels.ts";
import { atLeast, atMost, type TargetRow } from "./targets.ts";

/** What each instruction set must gain: attention over ggml's, a prompt over libllama. */
const MUST: Readonly<Record<string, { attention: number; prefill: number }>> = {
  amx: { attention: 10, prefill: 4 },
  avx512vnnibf16: { attention: 3, prefill: 2 },
  avx512vnni: { attention: 3, prefill: 2 },
  avx512bf16: { attention: 3, prefill: 2 },
  avx512: { attention: 3, prefill: 2 },
  avx2: { attention: 1.7, prefill: 1.4 },
};
const GAIN_OF_THREADS = 1.7;
/** What that target is for. */
const MEASURED_THREADS = 2;

/** Holds the measurements of our kernels against their targets. */
export function kernelTargetRows(c: KernelComparison, threads: number): TargetRow[] {
  const { name } = c.kernels;
  const must = MUST[name] ?? { attention: 1, prefill: 1 };
  const rows = c.attention.map((a) =>
    atLeast(`attention alone, heads of ${a.headDim}, ${name} over ggml`, a.ratio, must.attention),
  );
  for (const p of c.prompts) {
    const what = `prefill of ${p.promptTokens}, pyramidkv`;
    rows.push(atLeast(`${what}, over libllama`, p.overLibllama, must.prefill));
    if (threads === MEASURED_THREADS) {
      rows.push(atLeast(`${what}, 2 threads over 1`, p.overOneThread, GAIN_OF_THREADS));
    }
  }
  const longest = c.prompts.at(-1);
  if (longest !== undefined) {
    const n = longest.promptTokens;
    const share = "of prefill that scoring and selection take";
    rows.push(
      atMost(`${share} at ${n}, pyramidkv`, longest.pyramidkvShare * 100, 3),
      atMost(`${share} at ${n}, h2o`, longest.h2oShare * 100, 10),
      atLeast(`decode after ${n}, pyramidkv, over ggml's operations`, longest.decodeOverGgml, 1.15),
    );
  }
  for (const { ours, ggml, reference, promptTokens } of c.accuracy) {
    rows.push({
      what: `mean KL after ${promptTokens} to products in f32 (${reference})`,
      measured: ours.meanKl.toExponential(2),
      must: `≤ ggml's ${ggml.meanKl.toExponential(2)}`,
      pass: ours.meanKl <= ggml.meanKl,
    });
  }
  const peaks = Object.entries(c.peakRss).map(([length, { ours, ggml }]) => {
    const what = `peak memory of the process at ${length}, of ggml's operations`;
    return atMost(what, (ours / ggml) * 100, 105);
  });
  return [...rows, ...peaks];
}
