/**
 * Language models with compressed KV caches. Start at `Engine.load`.
 *
 * @module
 */
export { analyze, type Analysis, type AnalyzeOptions } from "./analysis/analyze.ts";
export { fitBudget, type FitOptions, type FittedBudget } from "./analysis/fit.ts";
export type { KeptWay } from "./analysis/kept-by.ts";
export type { Overlaps } from "./analysis/overlaps.ts";
export {
  retention,
  type KeptTokens,
  type Retention,
  type RetentionOptions,
} from "./analysis/retention.ts";
export { STUDIES, type Findings, type StudyName } from "./analysis/studies.ts";
export { METHODS, type MethodName } from "./compression/methods.ts";
export type { CompressionOptions } from "./compression/compression-options.ts";
export type { BudgetPolicy } from "./compression/budgets/budget.ts";
export type { EvidenceKind, HeadEvidence, LayerEvidence } from "./compression/evidence.ts";
export type { Method, Scorer } from "./compression/method.ts";
export { addMethod } from "./compression/own-methods.ts";
export type { ResolvedOptions } from "./compression/options.ts";
export { parseProfile, type HeadProfile } from "./compression/profile.ts";
export type { Ranking } from "./compression/ranking.ts";
export type { Recipe } from "./compression/recipe.ts";
export { WRAPPERS, type WrapperName } from "./compression/wrappers.ts";
export { PRESETS, type PresetName } from "./compression/presets.ts";
export { resolveCompression, type Compression } from "./compression/resolve.ts";
export {
  Engine,
  type EngineOptions,
  type KernelInfo,
  type LoadProgress,
  type PieceOf,
} from "./engine/engine.ts";
export { KV_TYPES, type SessionOptions } from "./engine/session-options.ts";
export type { HeadAttention, LayerAttention } from "./engine/observe/attention-observer.ts";
export type { WatchOptions } from "./engine/watch-attention.ts";
export { Conversation, type SendOptions } from "./engine/conversation.ts";
export type { FinishReason, GenerateOptions, Piece } from "./engine/answer.ts";
export { reportKv, type KvLayerReport, type KvReport } from "./engine/kv-report.ts";
export type { SamplingOptions } from "./engine/sampler.ts";
export type { PrefillOptions, Session } from "./engine/session.ts";
export type { SessionTimings } from "./engine/timings.ts";
export { PyramidKVError, type ErrorCode } from "./errors.ts";
export { ALIASES } from "./hub/aliases.ts";
export { KERNEL_CHOICES } from "./ggml/kernels/choices.ts";
export { resolveModel } from "./hub/resolve.ts";
export { plan, type Plan, type PlanOptions } from "./plan/plan.ts";
export type { MemoryPlan } from "./plan/memory.ts";
export type { ModelShape } from "./plan/model-shape.ts";
export type { KvCache } from "./kvcache/kv-cache.ts";
export type { LayerCache } from "./kvcache/layer-cache.ts";
export { ARCHITECTURES } from "./models/architectures.ts";
export type { HyperParameters } from "./models/hyper-parameters.ts";
export type { ChatMessage, ChatOptions } from "./tokenizer/chat-template.ts";
export type { EncodeOptions, Tokenizer } from "./tokenizer/tokenizer.ts";
