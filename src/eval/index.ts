/**
 * Evaluations of compressed KV caches: samples of suites, runs in several ways, results in files, tables. Start at
 * `needleSamples` and `runSamples`, or at `runQuality`.
 *
 * @module
 */
export { readHaystack } from "./haystack.ts";
export { NEEDLE_FORMS } from "./needle/forms.ts";
export { needleSamples } from "./needle/samples.ts";
export { severalQuestions } from "./needle/several.ts";
export { rulerSamples } from "./ruler/samples.ts";
export { longBenchSamples } from "./longbench/samples.ts";
export {
  MEASURED_ALPHAS,
  qualityRuns,
  runQuality,
  type QualityOptions,
  type QualityRow,
  type QualityRun,
} from "./quality.ts";
export { MODES, type QualityMode } from "./run/mode.ts";
export { readResults, ResultFile } from "./run/result-file.ts";
export type { ResultRow } from "./run/result-row.ts";
export { runSamples, type RunOptions, type Way } from "./run/run.ts";
export type { PromptParts, Sample } from "./run/sample.ts";
export { chatParts } from "./run/sample.ts";
export { summarise, type WaySummary } from "./run/summary.ts";
export { resultSections } from "./report/sections.ts";
export { scoreOf, type ScoredTask } from "./run/score.ts";
