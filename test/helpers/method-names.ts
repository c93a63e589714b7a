import { METHODS } from "../../src/compression/methods.ts";
import type { WrapperName } from "../../src/compression/wrappers.ts";

/** A case of every wrapper. */
export const WRAPPED: Readonly<Record<WrapperName, string>> = {
  uniform: "uniform(pyramidkv)",
  pyramid: "pyramid(h2o)",
  inverted: "inverted(snapkv)",
  ada: "ada(snapkv)",
  "per-layer": "per-layer(funnel)",
  cake: "cake(snapkv)",
  coverage: "coverage:0.9(snapkv)",
  chunk: "chunk:8(snapkv)",
  local: "local:2(h2o)",
  online: "online(funnel)",
  probe: "probe(snapkv)",
  carry: "carry:0.4(snapkv)",
  merge: "merge(snapkv)",
  sampled: "sampled(funnel)",
  every: "every:16(snapkv)",
  rerotate: "rerotate(streaming-llm)",
};

/** All methods, and a case of every wrapper: for what each must do, and those that are to come. */
export const METHOD_CASES: readonly string[] = [...Object.keys(METHODS), ...Object.values(WRAPPED)];
