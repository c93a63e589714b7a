import { totalmem } from "node:os";
import { PyramidKVError } from "../errors.ts";
import { plan, type PlanOptions } from "../plan/plan.ts";
import { formatBytes } from "./io.ts";

/** What this process may hold: the machine's memory, or less where its container has less. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Refuses what the machine cannot hold, before it is tried.
 *
 * @throws `NO_MEMORY` with what is needed, what there is, and what would fit
 */
export async function requireFits(options: PlanOptions, memory = machineMemory()): Promise<void> {
  const { compressed, fit, setting } = await plan({ ...options, memory });
  if (fit === undefined || fit.compressed.fits) return;
  const { method } = setting.compression;
  const longest = fit.compressed.largestContext;
  const instead =
    compressed.weights + compressed.process > memory
      ? "take a smaller model or smaller weights"
      : longest > 0
        ? `prompts of up to ${longest} tokens fit, or keep less (--kv-size, --method pyramidkv, --kv-type q4_0)`
        : "keep less (--kv-size, --method pyramidkv, --kv-type q4_0)";
  throw new PyramidKVError(
    "NO_MEMORY",
    `${method.name} needs about ${formatBytes(Math.round(compressed.total))} for ${setting.context} tokens, this machine has ${formatBytes(memory)}; ${instead}`,
  );
}

/** The same of a model's weights alone. */
export async function requireWeightsFit(model: string): Promise<void> {
  try {
    await requireFits({ model, method: "full", context: 1 });
  } catch (error) {
    // What else is wrong with the file is said when it is loaded.
    if (error instanceof PyramidKVError && error.code !== "NO_MEMORY") return;
    throw error;
  }
}
