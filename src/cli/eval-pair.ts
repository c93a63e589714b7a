import type { Command } from "commander";
import { sessionCompression } from "../engine/session-options.ts";
import { requireInteger } from "../errors.ts";
import { mean } from "../mean.ts";
import { readHaystack } from "../eval/haystack.ts";
import { runPairs, type PairRow } from "../eval/pair.ts";
import type { Way } from "../eval/run/run.ts";
import {
  addModelOptions,
  definedOnly,
  integer,
  integers,
  names,
  type ModelFlags,
} from "./options.ts";
import { printRows, runStudy, shownQuarters, type PrintFlags } from "./study.ts";

type Flags = ModelFlags &
  PrintFlags & {
    readonly methods: string[];
    readonly kvSizes: number[];
    readonly alphas?: number[];
    readonly haystack?: string;
    readonly articles: number;
    readonly length: number;
    readonly tokens: number;
  };

/** `pyramidkv eval pair`: a short question and a long report on the same article. */
export function pairCommand(command: Command): void {
  addModelOptions(
    command.description("the same fact by a short question, and at the end of a long report"),
  )
    .option("--methods <name,...>", "methods to compare", names, ["pyramidkv", "snapkv", "funnel"])
    .option("--kv-sizes <n,...>", "tokens kept per layer", integers, [128, 512])
    .option("--alphas <n,...>", "observation windows (default: each method's own)", integers)
    .option("--haystack <path>", "what articles are cut from (default: the embedded text)")
    .option("--articles <n>", "articles", integer, 4)
    .option("--length <n>", "tokens of an article", integer, 3000)
    .option("--tokens <n>", "tokens of a report", integer, 256)
    .option("--markdown", "print the table as Markdown")
    .option("--json", "print one JSON object with every article")
    .addHelpText(
      "after",
      `
Question answering may flatter a method that keeps what the last tokens point at. Here an article is asked a short
question, and for a long report whose last clause asks for the same fact. Coverage is measured against the full
cache's own report: ROUGE-L, the share of its names and numbers, and the KL divergence along it, by quarter.

Example:
  pyramidkv eval pair --methods pyramidkv,snapkv --kv-sizes 128,512 --alphas 8,64`,
    )
    .action((flags: Flags) => pair(flags));
}

async function pair(flags: Flags): Promise<void> {
  const { articles, length, tokens: reportTokens } = flags;
  requireInteger("articles", articles, 1);
  requireInteger("length", length, 1);
  requireInteger("tokens", reportTokens, 4);
  const ways = flags.methods.flatMap((method) =>
    flags.kvSizes.flatMap((kvSize) =>
      (flags.alphas ?? [undefined]).map((alpha) => definedOnly({ method, kvSize, alpha }) as Way),
    ),
  );
  for (const way of ways) sessionCompression(way);
  const haystack = await readHaystack(flags.haystack);
  const { model, result } = await runStudy(flags, "pairs", (engine, control) =>
    runPairs(engine, { haystack, articles, length, reportTokens, ways, ...control }),
  );
  const head = [
    ...["method", "kept", "alpha", "short question", "report", "ROUGE-L", "names, numbers"],
    "KL by quarter",
  ];
  printRows(flags, model, result, head, line);
}

function line({ way, short, recalled, rougeL, facts, kl }: PairRow): string[] {
  const found = (hits: readonly boolean[]) => `${hits.filter(Boolean).length}/${hits.length}`;
  return [
    ...[way.method, String(way.kvSize ?? "all"), String(way.alpha ?? "")],
    ...[found(short), found(recalled), mean(rougeL).toFixed(2), mean(facts).toFixed(2)],
    shownQuarters(kl),
  ];
}
