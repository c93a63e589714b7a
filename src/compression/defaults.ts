import type { MethodName } from "./methods.ts";

/**
 * What is done where nothing is said: the method that is nearest to the full cache in README's table, and the smallest of
 * its sizes at which the default model finds a number hidden anywhere in 4,000 tokens (`test/model/needle.test.ts`).
 */
export const DEFAULT_METHOD: MethodName = "funnel";
/** Tokens per layer and kv head, on average. */
export const DEFAULT_KV_SIZE = 1024;
