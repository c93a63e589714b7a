import { basename, join } from "node:path";
import type { Command } from "commander";
import type { Analyzed } from "../analysis/analyzed.ts";
import { requireKeepsTokens, type KeptWay } from "../analysis/kept-by.ts";
import { STUDIES, type StudyName } from "../analysis/studies.ts";
import type { Engine } from "../engine/engine.ts";
import { requireInteger, requireOneOf } from "../errors.ts";
import { TASKS } from "../eval/cases.ts";
import { loadPart } from "../optional.ts";
import { makeFolder } from "../files.ts";
import { analyzeModel, type AnalyzePlan } from "./analyze-run.ts";
import { readTexts } from "./analyze-texts.ts";
import { note, print } from "./terminal.ts";
import { fetchModel } from "./load-engine.ts";
import { addModelOptions, integer, integers, names, type ModelFlags } from "./options.ts";
import { runStudy, type StudyControl } from "./study.ts";

type Flags = ModelFlags & {
  readonly compare?: string[];
  readonly studies: string[];
  readonly methods?: string[];
  readonly alphas?: number[];
  readonly tasks?: string[];
  readonly tokens: number;
  readonly follow: number;
  readonly kvSizes: number[];
  readonly out: string;
  readonly png?: boolean;
  readonly json?: boolean;
};

/** The method whose observation window is varied. */
const ALPHA_METHOD = "snapkv";

/** `pyramidkv analyze`: where attention goes in texts, and what methods lose of it. */
export function analyzeCommand(command: Command): void {
  const studies = Object.entries(STUDIES).map(([name, o]) => `  ${name.padEnd(10)}${o.about}`);
  addModelOptions(command.description("study where a model's attention goes, layer by layer"))
    .argument("[texts...]", "files to read (default: the embedded text)")
    .option("--compare <model,...>", "more models, on the same page", names)
    .option("--studies <name,...>", "what to look at", names, Object.keys(STUDIES))
    .option("--methods <name,...>", "see what these keep, and lose (two more prefills)", names)
    .option(
      "--alphas <n,...>",
      `see what ${ALPHA_METHOD} keeps at the first size, by its observation window`,
      integers,
    )
    .option(
      "--tasks <name,...>",
      `study prompts too that are made of the texts: ${TASKS.join(", ")}`,
      names,
    )
    .option("--tokens <n>", "tokens of each text that are read, within the context", integer, 4000)
    .option(
      "--follow <n>",
      "of these, tokens after what methods compress, at most half",
      integer,
      512,
    )
    .option(
      "--kv-sizes <n,...>",
      "tokens per layer, averaged: what budgets are fitted to and methods keep",
      integers,
      [128],
    )
    .option("-o, --out <folder>", "where the page, pictures and numbers go", "analysis")
    .option("--png", "write every picture as PNG too")
    .option("--json", "print the numbers as one JSON object")
    .addHelpText(
      "after",
      `
Studies:
${studies.join("\n")}

Writes analysis.html, analysis.md, pictures, analysis.json, analysis.csv (one number a line), and
budgets-<text>-<size>.json for --budget-file (of the study needs). Tasks are prompts of 3,000 to 4,000
tokens, which are studied with the model's own answer behind them.

Examples:
  pyramidkv analyze english.txt chinese.txt code.ts --out funnel
  pyramidkv analyze essay.txt --methods pyramidkv,snapkv,h2o,streaming-llm --kv-sizes 128,512
  pyramidkv analyze --tasks needle,summary --alphas 1,2,4,8,16,32,64 --studies funnel
  pyramidkv generate --method snapkv --budget-file funnel/budgets-english.txt-128.json --prompt-file english.txt`,
    )
    .action((texts: string[], flags: Flags) => run(texts, flags));
}

async function run(paths: readonly string[], flags: Flags): Promise<void> {
  const { out, png = false } = flags;
  const plan = await planOf(paths, flags);
  await makeFolder(out);
  // Loaded only here: every command would wait for it.
  const { writeAnalysis } = await loadPart("pages", () => import("./analyze-write.ts"));
  if (png) await (await import("../page/png.ts")).requireFonts();
  const models = [...new Set([flags.model, ...(flags.compare ?? [])])];
  for (const model of models.slice(1)) await fetchModel({ ...flags, model });
  const files = models.map((model) => basename(model));
  const names = new Set(files).size === models.length ? files : models;
  const analyzed: Analyzed[] = [];
  let json = "";
  let stopped = true;
  try {
    for (const [i, model] of models.entries()) {
      const name = names[i] as string;
      const label = `analysis of ${name}`;
      const study = async (engine: Engine, control: StudyControl) => {
        const shown = models.length === 1 ? engine.model.name : name;
        for await (const one of analyzeModel(engine, shown, plan, control)) analyzed.push(one);
      };
      await runStudy({ ...flags, model }, label, study, "share");
    }
    stopped = false;
  } finally {
    // What took minutes is kept, whatever became of the rest.
    if (analyzed.length > 0) {
      json = await writeAnalysis(out, analyzed, { png });
      const found = `${join(out, "analysis.html")} and analysis.md, .json, .csv beside it`;
      note(stopped ? `stopped; what was found before is in ${found}` : found);
    }
  }
  if (flags.json === true) print(json.trimEnd());
}

/** What is wrong with the flags is said before anything is loaded. */
async function planOf(paths: readonly string[], flags: Flags): Promise<AnalyzePlan> {
  const { tokens, follow, kvSizes } = flags;
  requireInteger("tokens", tokens, 16);
  requireInteger("follow", follow, 1);
  for (const kvSize of kvSizes) requireInteger("kv-sizes", kvSize, 9);
  const studies = flags.studies.map((name) =>
    requireOneOf("study", name, Object.keys(STUDIES) as StudyName[]),
  );
  const tasks = (flags.tasks ?? []).map((name) => requireOneOf("task", name, TASKS));
  const [first] = kvSizes as [number];
  const ways: KeptWay[] = [
    ...(flags.methods ?? []).flatMap((method) => kvSizes.map((kvSize) => ({ method, kvSize }))),
    ...(flags.alphas ?? []).map((alpha) => ({ method: ALPHA_METHOD, kvSize: first, alpha })),
  ];
  requireKeepsTokens(ways);
  return { texts: await readTexts(paths), tasks, studies, tokens, follow, kvSizes, ways };
}
