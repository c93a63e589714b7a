import type { ListedMethod } from "./method.ts";
import { expectedAttention } from "./methods/expected-attention.ts";
import { full } from "./methods/full.ts";
import { funnel } from "./methods/funnel.ts";
import { h2o } from "./methods/h2o.ts";
import { keydiff } from "./methods/keydiff.ts";
import { knorm } from "./methods/knorm.ts";
import { kvzip } from "./methods/kvzip.ts";
import { lagkv } from "./methods/lagkv.ts";
import { leverage } from "./methods/leverage.ts";
import { observedAttention } from "./methods/observed-attention.ts";
import { pyramidkv } from "./methods/pyramidkv.ts";
import { rKv } from "./methods/r-kv.ts";
import { random } from "./methods/random.ts";
import { snapkv } from "./methods/snapkv.ts";
import { streamingLlm } from "./methods/streaming-llm.ts";
import { tova } from "./methods/tova.ts";

/** Every compression method. Help, validation, docs and the test matrix are made from this table. */
export const METHODS = {
  full,
  random,
  "streaming-llm": streamingLlm,
  h2o,
  "observed-attention": observedAttention,
  tova,
  snapkv,
  pyramidkv,
  funnel,
  knorm,
  keydiff,
  lagkv,
  leverage,
  "expected-attention": expectedAttention,
  kvzip,
  "r-kv": rKv,
} as const satisfies Record<string, ListedMethod>;

export type MethodName = keyof typeof METHODS;
