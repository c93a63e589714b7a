import { analyze } from "../analysis/analyze.ts";
import { fitBudget } from "../analysis/fit.ts";
import type { Analyzed } from "../analysis/page/analyzed.ts";
import type { KeptWay } from "../analysis/kept-by.ts";
import { retention } from "../analysis/retention.ts";
import type { StudyName } from "../analysis/studies.ts";
import type { Engine } from "../engine/engine.ts";
import type { PrefillOptions } from "../engine/session.ts";
import type { Task } from "../eval/cases.ts";
import { taskSubject, textSubject, type Subject, type Text } from "./analyze-texts.ts";
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
  /** Methods whose kept tokens are looked at; none needs no compression. */
  readonly ways: readonly KeptWay[];
}

/** Studies all texts and tasks with one model. */
export async function analyzeModel(
  engine: Engine,
  model: string,
  plan: AnalyzePlan,
  { signal, onStep }: StudyControl,
): Promise<Analyzed[]> {
  const { texts, tasks } = plan;
  const makers = [
    ...texts.map((text) => () => Promise.resolve(textSubject(engine, text, plan))),
    ...tasks.map((task) => () => taskSubject(engine, task, texts, signal)),
  ];
  const found: Analyzed[] = [];
  for (const make of makers) {
    const onProgress = (share: number) => {
      onStep(found.length + share, makers.length);
    };
    const subject = await make();
    found.push(await analyzeSubject(engine, model, subject, { ...plan, signal, onProgress }));
  }
  return found;
}

async function analyzeSubject(
  engine: Engine,
  model: string,
  { name, tokens, follow }: Subject,
  { studies, kvSizes, ways, signal, onProgress }: AnalyzePlan & Required<PrefillOptions>,
): Promise<Analyzed> {
  const half = ways.length === 0 ? 1 : 0.5;
  const found: Analyzed["found"] = await analyze(engine, tokens, {
    ...{ studies, signal },
    onProgress: (share) => onProgress(half * share),
  });
  const kept =
    ways.length === 0
      ? {}
      : {
          retention: await retention(engine, tokens, {
            ...{ ways, follow, signal },
            onProgress: (share) => onProgress(half * (1 + share)),
          }),
        };
  const { needs } = found;
  const fit = (kvSize: number) =>
    needs === undefined ? [] : [fitBudget(needs, { kvSize, n: tokens.length })];
  return { model, text: name, found, fitted: kvSizes.flatMap(fit), ...kept };
}
