import type { Method } from "./method.ts";
import { full } from "./methods/full.ts";
import { h2o } from "./methods/h2o.ts";
import { pyramidkv } from "./methods/pyramidkv.ts";
import { snapkv } from "./methods/snapkv.ts";
import { streamingLlm } from "./methods/streaming-llm.ts";

/** Every compression method. Help, validation, docs and the test matrix are made from this table. */
export const METHODS = {
  full,
  "streaming-llm": streamingLlm,
  h2o,
  snapkv,
  pyramidkv,
} as const satisfies Record<string, Method>;

export type MethodName = keyof typeof METHODS;
