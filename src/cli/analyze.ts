import { basename, join } from "node:path";
import type { Command } from "commander";
import { PyramidKVError, requireInteger } from "../errors.ts";
import { analyze as study } from "../analysis/analyze.ts";
import { fitBudget } from "../analysis/fit.ts";
import type { NamedAnalysis } from "../analysis/page.ts";
import type { Engine } from "../engine/engine.ts";
import { readHaystack } from "../eval/haystack.ts";
import { note } from "./io.ts";
import { addModelOptions, integer, type ModelFlags } from "./options.ts";
import { runStudy, type StudyControl } from "./study.ts";

type Flags = ModelFlags & {
  readonly tokens: number;
  readonly kvSize: number;
  readonly out: string;
  readonly json?: boolean;
};

/** `pyramidkv analyze`: where attention goes in texts. */
export function analyzeCommand(command: Command): void {
  addModelOptions(command.description("study where a model's attention goes, layer by layer"))
    .argument("[texts...]", "files to read (default: the embedded text)")
    .option("--tokens <n>", "tokens of each text that are read", integer, 4000)
    .option("--kv-size <n>", "tokens per layer, averaged, that budgets are fitted to", integer, 128)
    .option("-o, --out <folder>", "where the page, pictures and numbers go", "analysis")
    .option("--json", "print the numbers as one JSON object")
    .addHelpText(
      "after",
      `
Writes analysis.html, analysis.md, pictures, analysis.json, and budgets-<text>.json for --budget-file.

Examples:
  pyramidkv analyze english.txt chinese.txt code.ts --out funnel
  pyramidkv generate --method snapkv --budget-file funnel/budgets-english.txt.json --prompt-file english.txt`,
    )
    .action((texts: string[], flags: Flags) => analyze(texts, flags));
}

async function analyze(paths: readonly string[], flags: Flags): Promise<void> {
  const { tokens, kvSize, out } = flags;
  requireInteger("tokens", tokens, 16);
  requireInteger("kv-size", kvSize, 9);
  const texts = await readTexts(paths);
  const { result } = await runStudy(flags, "analysis", (engine, control) =>
    analyzeTexts(engine, texts, { tokens, kvSize }, control),
  );
  // Loaded only here: every command would wait for it.
  const { analysisPage } = await import("../analysis/page.ts");
  const { writeFiles, writePage } = await import("../page/write.ts");
  const numbers = `${JSON.stringify(result, shortened)}\n`;
  await writePage(out, "analysis", analysisPage(result));
  await writeFiles(out, {
    "analysis.json": numbers,
    ...Object.fromEntries(
      result.map(({ text, fitted }) => [
        `budgets-${text}.json`,
        `${JSON.stringify(fitted.budgets)}\n`,
      ]),
    ),
  });
  if (flags.json === true) process.stdout.write(numbers);
  note(`${texts.length} texts in ${join(out, "analysis.html")} and ${join(out, "analysis.md")}`);
}

interface Text {
  readonly name: string;
  readonly content: string;
}

async function readTexts(paths: readonly string[]): Promise<Text[]> {
  if (paths.length === 0) return [{ name: "embedded", content: await readHaystack() }];
  const read = async (path: string) => ({
    name: basename(path),
    content: await readHaystack(path),
  });
  const texts = await Promise.all(paths.map(read));
  const names = new Set(texts.map(({ name }) => name));
  if (names.size === texts.length) return texts;
  throw new PyramidKVError("USAGE", "two texts have the same file name; rename one");
}

async function analyzeTexts(
  engine: Engine,
  texts: readonly Text[],
  { tokens: most, kvSize }: { readonly tokens: number; readonly kvSize: number },
  { signal, onStep }: StudyControl,
): Promise<NamedAnalysis[]> {
  const found: NamedAnalysis[] = [];
  for (const { name, content } of texts) {
    // No more of the text than so many tokens can hold is given to the tokenizer.
    const all = engine.tokenizer.encode(content.slice(0, 16 * most));
    const tokens = all.slice(0, Math.min(most, engine.model.nCtx));
    const onProgress = (share: number) => {
      onStep(Math.round(100 * (found.length + share)), 100 * texts.length);
    };
    const own = await study(engine, tokens, { signal, onProgress });
    const fitted = fitBudget(own.funnel, { kvSize, n: tokens.length });
    found.push({ text: name, found: own, fitted });
  }
  return found;
}

/** Six digits, and no maps: their pixels are the library's to give. */
function shortened(_: string, value: unknown): unknown {
  if (value instanceof Float32Array) return undefined;
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
