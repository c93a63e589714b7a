import type { Wrapper } from "./wrapper.ts";
import { ada } from "./wrappers/ada.ts";
import { cake } from "./wrappers/cake.ts";
import { chunk } from "./wrappers/chunk.ts";
import { coverage } from "./wrappers/coverage.ts";
import { inverted, pyramid, uniform } from "./wrappers/divided.ts";
import { local } from "./wrappers/local.ts";
import { perLayer } from "./wrappers/per-layer.ts";
import { carry, every, merge, online, probe, rerotate } from "./wrappers/run.ts";
import { sampled } from "./wrappers/sampled.ts";

/** Every wrapper. Help, docs and the test matrix are made from this table. */
export const WRAPPERS = {
  uniform,
  pyramid,
  inverted,
  ada,
  "per-layer": perLayer,
  cake,
  coverage,
  chunk,
  local,
  online,
  probe,
  carry,
  merge,
  sampled,
  every,
  rerotate,
} as const satisfies Record<string, Wrapper>;

export type WrapperName = keyof typeof WRAPPERS;
