import type { Engine } from "../engine/engine.ts";
import { markdownTable } from "../page/markdown.ts";
import { mean } from "../mean.ts";
import { Interrupt } from "./interrupt.ts";
import { table } from "./format.ts";
import { progressBar } from "./progress.ts";
import { print, printJson } from "./terminal.ts";
import { loadEngine } from "./load-engine.ts";
import type { ModelFlags } from "./options.ts";

/** What a study is given besides its engine. */
export interface StudyControl {
  readonly signal: AbortSignal;
  readonly onStep: (done: number, total: number) => void;
}

/** Loads the model and runs a study on it, with a bar, until it ends or Ctrl-C stops it. */
export async function runStudy<T>(
  flags: ModelFlags,
  label: string,
  study: (engine: Engine, control: StudyControl) => Promise<T>,
  unit: "count" | "share" = "count",
): Promise<{ readonly model: string; readonly result: T }> {
  using interrupt = new Interrupt();
  await using engine = await loadEngine(flags, interrupt.signal);
  const bar = progressBar(label, unit);
  const onStep = (done: number, total: number) => {
    bar.update(done, total);
  };
  try {
    const result = await study(engine, { signal: interrupt.signal, onStep });
    return { model: engine.model.name, result };
  } finally {
    bar.stop();
  }
}

/** How a study's results are printed. */
export interface PrintFlags {
  readonly markdown?: boolean;
  readonly json?: boolean;
}

/** Prints rows as one JSON object, or as a table. */
export function printRows<T>(
  flags: PrintFlags,
  model: string,
  rows: readonly T[],
  head: readonly string[],
  line: (row: T) => string[],
): void {
  if (flags.json === true) {
    printJson({ model, rows });
    return;
  }
  const draw = flags.markdown === true ? markdownTable : table;
  print(draw(head, rows.map(line)));
}

/** `0.10 0.12 0.15 0.20`: the quarters of several texts, averaged. */
export function shownQuarters(courses: readonly (readonly number[])[]): string {
  const [first = []] = courses;
  return first
    .map((_, q) => mean(courses.map((course) => course[q] as number)).toFixed(2))
    .join(" ");
}
