import { analyze } from "../analysis/analyze.ts";
import type { Analyzed } from "../analysis/analyzed.ts";
import { fitBudget } from "../analysis/fit.ts";
import type { KeptWay } from "../analysis/kept-by.ts";
import { retention } from "../analysis/retention.ts";
import type { StudyName } from "../analysis/studies.ts";
import type { Engine } from "../engine/engine.ts";
import { PyramidKVError } from "../errors.ts";
import type { Task } from "../eval/cases.ts";
import {
  answeredSubject,
  taskPrompt,
  textSubject,
  type Subject,
  type Text,
} from "./analyze-texts.ts";
import type { StudyControl } from "./study.ts";

/** What is asked of each model. */
export interface AnalyzePlan {
  readonly texts: readonly Text[];
  readonly tasks: readonly Task[];
  readonly studies: readonly StudyName[];
  /** Tokens of each text, and how many of them follow the compression. */
  readonly tokens: number;
  readonly follow: number;
  readonly kvSizes: readonly number[];
  /** Methods whose kept tokens are looked at. */
  readonly ways: readonly KeptWay[];
}

/** Studies all texts and tasks with one model. What is wrong with any of them is said before the first is studied. */
export async function* analyzeModel(
  engine: Engine,
  model: string,
  plan: AnalyzePlan,
  { signal, onStep }: StudyControl,
): AsyncGenerator<Analyzed, void, undefined> {
  const texts = plan.texts.map((text) => textSubject(engine, text, plan));
  for (const text of texts) requireAlphas(text, plan);
  const tasks = plan.tasks.map((task) => ({ task, prompt: taskPrompt(engine, task, plan.texts) }));
  const subjects = [
    ...texts.map((text) => () => Promise.resolve(text)),
    ...tasks.map(
      ({ task, prompt }) =>
        () =>
          answeredSubject(engine, task, prompt, signal),
    ),
  ];
  for (const [i, make] of subjects.entries()) {
    const onProgress = (share: number) => {
      onStep(i + share, subjects.length);
    };
    yield await analyzeSubject(engine, model, await make(), { ...plan, signal, onProgress });
  }
}

/** An observation window is a part of what is compressed. */
function requireAlphas({ name, tokens, follow }: Subject, { ways }: AnalyzePlan): void {
  const before = tokens.length - follow;
  const alpha = ways.find((way) => (way.alpha ?? 0) > before)?.alpha;
  if (alpha === undefined) return;
  throw new PyramidKVError(
    "USAGE",
    `--alphas ${alpha} exceeds the ${before} tokens of ${name} that are compressed; give less, or less to --follow`,
  );
}

interface StudyProgress {
  readonly signal: AbortSignal;
  readonly onProgress: (share: number) => void;
}

async function analyzeSubject(
  engine: Engine,
  model: string,
  { name, tokens, follow }: Subject,
  { studies, kvSizes, ways, signal, onProgress }: AnalyzePlan & StudyProgress,
): Promise<Analyzed> {
  const n = tokens.length;
  const half = ways.length === 0 ? 1 : 0.5;
  const found: Analyzed["found"] = await analyze(engine, tokens, {
    studies,
    signal,
    onProgress: (share) => onProgress(half * share),
  });
  const { needs } = found;
  const sizes = new Set(kvSizes.map((size) => Math.min(size, n)));
  const fitted =
    needs === undefined ? [] : Array.from(sizes, (kvSize) => fitBudget(needs, { kvSize, n }));
  const analyzed = { model, text: name, found, fitted };
  if (ways.length === 0) return analyzed;
  const kept = await retention(engine, tokens, {
    ways,
    follow,
    signal,
    onProgress: (share) => onProgress(half * (1 + share)),
  });
  return { ...analyzed, retention: kept };
}
