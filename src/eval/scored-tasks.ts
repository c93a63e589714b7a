import { requireOneOf } from "../errors.ts";
import { DATASETS } from "./longbench/datasets.ts";
import { RULER_TASKS } from "./ruler/tasks.ts";
import type { ScoredTask } from "./run/score.ts";

const named = (suite: string, tasks: Readonly<Record<string, ScoredTask>>) =>
  Object.entries(tasks).map(([name, task]) => [`${suite}/${name}`, task] as const);

/** Every task with a metric, by `suite/name`. */
export const SCORED_TASKS: Readonly<Record<string, ScoredTask>> = Object.fromEntries([
  ...named("longbench", DATASETS),
  ...named("ruler", RULER_TASKS),
  ["longbench-v2", { metric: "choice" }] as const,
  ["needle", { metric: "match-all" }] as const,
]);

/** A task by its name; throws `USAGE` on unknown ones. */
export function scoredTask(name: string): ScoredTask {
  return SCORED_TASKS[requireOneOf("task", name, Object.keys(SCORED_TASKS))] as ScoredTask;
}
