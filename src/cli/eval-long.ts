import type { Command } from "commander";
import { sessionCompression } from "../engine/session-options.ts";
import { requireInteger } from "../errors.ts";
import { mean } from "../mean.ts";
import { readHaystack } from "../eval/haystack.ts";
import { runLong, type LongRow } from "../eval/long.ts";
import type { Way } from "../eval/run/run.ts";
import { formatBytes } from "./format.ts";
import { addModelOptions, integer, integers, names, type ModelFlags } from "./options.ts";
import { printRows, runStudy, shownQuarters, type PrintFlags } from "./study.ts";

type Flags = ModelFlags &
  PrintFlags & {
    readonly methods: string[];
    readonly kvSizes: number[];
    readonly haystack?: string;
    readonly texts: number;
    readonly length: number;
    readonly tokens: number;
  };

const METHODS = ["pyramidkv", "snapkv", "h2o", "r-kv"].map((name) => `every:64(${name})`);

/** `pyramidkv eval long`: long outputs from a cache of fixed size. */
export function longCommand(command: Command): void {
  addModelOptions(command.description("long outputs from a cache that keeps its size"))
    .option("--methods <name,...>", "methods that compress while decoding", names, METHODS)
    .option("--kv-sizes <n,...>", "tokens kept per layer", integers, [256])
    .option("--haystack <path>", "what texts are cut from (default: the embedded text)")
    .option("--texts <n>", "texts, each with a needle of its own", integer, 2)
    .option("--length <n>", "tokens of a prompt", integer, 1000)
    .option("--tokens <n>", "tokens written after it", integer, 1000)
    .option("--markdown", "print the table as Markdown")
    .option("--json", "print one JSON object with every text")
    .addHelpText(
      "after",
      `
KL and top-1 are along the full cache's own output, by quarter; repeated is the share of the four-token runs of a
method's own output that occurred before; needle: a number of the prompt, asked for after all that was written.

Example:
  pyramidkv eval long --tokens 2000 --methods "every:64(pyramidkv),every:64(r-kv)" --kv-sizes 128,512`,
    )
    .action((flags: Flags) => long(flags));
}

async function long(flags: Flags): Promise<void> {
  const { texts, length, tokens } = flags;
  requireInteger("texts", texts, 1);
  requireInteger("length", length, 1);
  requireInteger("tokens", tokens, 4);
  const ways = flags.methods.flatMap((method) =>
    flags.kvSizes.map((kvSize): Way => ({ method, kvSize })),
  );
  for (const way of ways) sessionCompression(way);
  const haystack = await readHaystack(flags.haystack);
  const { model, result } = await runStudy(flags, "long", (engine, control) =>
    runLong(engine, { haystack, texts, length, tokens, ways, ...control }),
  );
  const head = ["method", "kept", "KL by quarter", "top-1 by quarter", "repeated", "needle", "KV"];
  printRows(flags, model, result, head, line);
}

function line({ way, kl, top1, repeated, found, kvBytes }: LongRow): string[] {
  return [
    ...[way.method, String(way.kvSize ?? "all"), shownQuarters(kl), shownQuarters(top1)],
    ...[mean(repeated).toFixed(2), `${found.filter(Boolean).length}/${found.length}`],
    formatBytes(kvBytes),
  ];
}
