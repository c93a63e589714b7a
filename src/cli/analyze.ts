import { basename, join } from "node:path";
import type { Command } from "commander";
import type { Analyzed } from "../analysis/page/analyzed.ts";
import type { KeptWay } from "../analysis/kept-by.ts";
import { STUDIES, type StudyName } from "../analysis/studies.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { requireInteger, requireOneOf } from "../errors.ts";
import { TASKS } from "../eval/cases.ts";
import { analyzeModel, type AnalyzePlan } from "./analyze-run.ts";
import { readTexts } from "./analyze-texts.ts";
import { note } from "./io.ts";
import { writeFiles } from "../page/write.ts";
import { addModelOptions, integer, integers, names, type ModelFlags } from "./options.ts";
import { runStudy } from "./study.ts";

type Flags = ModelFlags & {
  readonly compare: string[];
  readonly studies: string[];
  readonly methods: string[];
  readonly alphas: number[];
  readonly tasks: string[];
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
    .option("--compare <model,...>", "more models, for the same page", names, [])
    .option("--studies <name,...>", "what to look at", names, Object.keys(STUDIES))
    .option("--methods <name,...>", "see what these keep, and lose (two more prefills)", names, [])
    .option(
      "--alphas <n,...>",
      `see what ${ALPHA_METHOD} keeps by its observation window`,
      integers,
      [],
    )
    .option(
      "--tasks <name,...>",
      `study prompts made of the texts too: ${TASKS.join(", ")}`,
      names,
      [],
    )
    .option("--tokens <n>", "tokens of each text that are read", integer, 4000)
    .option("--follow <n>", "of these, tokens that come after methods compressed", integer, 512)
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
budgets-<text>-<size>.json for --budget-file. Tasks are studied with the model's own answer behind them.

Examples:
  pyramidkv analyze english.txt chinese.txt code.ts --out funnel
  pyramidkv analyze essay.txt --methods pyramidkv,snapkv,h2o,streaming-llm --kv-sizes 128,512
  pyramidkv analyze --tasks needle,summary --alphas 1,2,4,8,16,32,64 --studies funnel
  pyramidkv generate --method snapkv --budget-file funnel/budgets-english.txt-128.json --prompt-file english.txt`,
    )
    .action((texts: string[], flags: Flags) => run(texts, flags));
}

async function run(paths: readonly string[], flags: Flags): Promise<void> {
  const plan = await planOf(paths, flags);
  if (flags.png === true) await (await import("../page/png.ts")).requireFonts();
  await writeFiles(flags.out, {}); // a folder that cannot be written is told of before the work
  const models = [...new Set([flags.model, ...flags.compare])];
  const files = models.map((model) => basename(model));
  const names = new Set(files).size === models.length ? files : models;
  const all: Analyzed[] = [];
  for (const [i, model] of models.entries()) {
    const name = names[i] as string;
    const { result } = await runStudy(
      { ...flags, model },
      `analysis of ${name}`,
      (engine, control) =>
        analyzeModel(engine, models.length === 1 ? engine.model.name : name, plan, control),
      "share",
    );
    all.push(...result);
  }
  // Loaded only here: every command would wait for it.
  const { writeAnalysis } = await import("./analyze-write.ts");
  const json = await writeAnalysis(flags.out, all, { png: flags.png === true });
  if (flags.json === true) process.stdout.write(json);
  note(`${join(flags.out, "analysis.html")} and analysis.md, .json, .csv beside it`);
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
  const tasks = flags.tasks.map((name) => requireOneOf("task", name, TASKS));
  const [kvSize = 128] = kvSizes;
  const ways: KeptWay[] = [
    ...flags.methods.flatMap((method) => kvSizes.map((size) => ({ method, kvSize: size }))),
    ...flags.alphas.map((alpha) => ({ method: ALPHA_METHOD, kvSize, alpha })),
  ];
  for (const way of ways) resolveCompression(way);
  return { texts: await readTexts(paths), tasks, studies, tokens, follow, kvSizes, ways };
}
