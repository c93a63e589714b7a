import { isEndless } from "../compression/budgets/expected.ts";
import { planMemory, type PlanSetting } from "./memory.ts";
import type { ModelShape } from "./model-shape.ts";

/** What fits into a machine's memory. */
export interface Fit {
  readonly memory: number;
  readonly fits: boolean;
  /** The most sequences at this context; 0 where not one fits. */
  readonly largestBatch: number;
  /** The longest prompt at this batch, in steps of 256 tokens or the model's context; 0 where none fits. */
  readonly largestContext: number;
}

const STEP = 256;

export function fitInto(memory: number, model: ModelShape, setting: PlanSetting): Fit {
  const total = (change: Partial<PlanSetting>) =>
    planMemory(model, { ...setting, ...change }).total;
  const one = total({ batch: 1 });
  const { endBytes } = planMemory(model, setting).kv;
  const largestBatch = one > memory ? 0 : 1 + Math.floor((memory - one) / endBytes);
  const fits = (context: number) => total({ context }) <= memory;
  return { memory, fits: total({}) <= memory, largestBatch, largestContext: largest(fits) };

  /** The engine takes no more than the model's context, the answer included. */
  function largest(fitsIn: (context: number) => boolean): number {
    const { compression, newTokens } = setting;
    const most = Math.max(0, model.nCtx - (isEndless(compression, model) ? 0 : newTokens));
    if (most === 0 || fitsIn(most)) return most;
    let [low, high] = [0, Math.floor(most / STEP)];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (fitsIn(middle * STEP)) low = middle;
      else high = middle - 1;
    }
    return low * STEP;
  }
}
