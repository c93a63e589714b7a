import type { ResolvedOptions } from "./options.ts";

type PresetValues = Omit<ResolvedOptions, "kvSize" | "preset" | "profile">;

const paper: PresetValues = {
  alpha: 8,
  window: 8,
  beta: 20,
  pool: "max",
  kernel: 7,
  gqa: "mean",
  sinks: 0,
  rounding: "exact",
  seed: 0,
  lag: 128,
};

/** Published sets of values. Numbers from different sets are not comparable, so results name theirs. */
export const PRESETS = {
  /** PyramidKV (arXiv 2406.02069), as its LongBench runner sets them; budgets kept exactly. */
  paper,
  /** The defaults of the classes in KVCache-Factory, which its runners override. */
  "class-defaults": { ...paper, alpha: 64, window: 64, pool: "avg", kernel: 5 },
  /** KVCache-Factory's LongBench runner with its own rounding, which keeps more than asked. */
  "kvcache-factory": { ...paper, rounding: "kvcache-factory" },
  /** kvpress 0.5: its SnapKV values, and its budgets, which are uniform for small sizes. */
  kvpress: { ...paper, alpha: 64, window: 64, pool: "avg", kernel: 5, rounding: "kvpress" },
} as const satisfies Record<string, PresetValues>;

export type PresetName = keyof typeof PRESETS;
