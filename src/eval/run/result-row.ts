import type { QualityMode } from "./mode.ts";

/** One sample answered in one way. */
export interface ResultRow {
  /** `suite/task` */
  readonly task: string;
  /** Version of the task: scores of two versions are not comparable. */
  readonly version: number;
  readonly sample: string;
  /** Whether the question was in the prompt when it was compressed. */
  readonly mode: QualityMode;
  /** The method as it was asked for, wrappers included. */
  readonly method: string;
  /** Every resolved option. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly kvType: string;
  readonly model: string;
  /** Names the model's weights and their types. */
  readonly weights: string;
  readonly kernels: string;
  /** SHA-256 of the prompt's tokens, 16 digits. */
  readonly prompt: string;
  /** Whose words the prompt is in. */
  readonly prompts: string;
  readonly promptTokens: number;
  readonly facts?: Readonly<Record<string, number>>;
  readonly output: string;
  readonly answers: readonly string[];
  /** 0 to 1. */
  readonly score: number;
  /** Bytes of the full cache of the prompt, held after it, and at most; tokens kept per layer and kv head. */
  readonly kv: {
    readonly fullBytes: number;
    readonly bytes: number;
    /** Bytes of the tokens kept, among the bytes held: the rest is padding and room for more. */
    readonly keptBytes: number;
    readonly peakBytes: number;
    readonly meanKept: number;
  };
  /** Milliseconds of the prompt, which all ways of a sample share, and of the answer. */
  readonly ms: { readonly prefill: number; readonly decode: number };
}

/** What makes a result the same as another, before it is there. */
export type ResultIdentity = Pick<
  ResultRow,
  "task" | "version" | "sample" | "mode" | "method" | "options" | "kvType" | "weights" | "prompt"
>;

/** Two rows with one key are the same work. */
export function keyOf(row: ResultIdentity): string {
  const { task, version, sample, mode, method, options, kvType, weights, prompt } = row;
  return JSON.stringify([task, version, sample, mode, method, options, kvType, weights, prompt]);
}
