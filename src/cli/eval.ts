import type { Command } from "commander";
import { METHODS } from "../compression/methods.ts";
import { readHaystack } from "../eval/haystack.ts";
import { runNeedle, type NeedleCell, type NeedleRun } from "../eval/needle.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { qualityCommand } from "./eval-quality.ts";
import { Interrupt } from "./interrupt.ts";
import { formatBytes, progressBar, table } from "./io.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, decimals, integers, names, type ModelFlags } from "./options.ts";

type Flags = ModelFlags & {
  readonly methods: string[];
  readonly kvSizes: number[];
  readonly lengths: number[];
  readonly depths: number[];
  readonly haystack?: string;
  readonly json?: boolean;
};

/** `pyramidkv eval`: so far Needle in a Haystack, and how near methods stay to the full cache. */
export function evalCommand(command: Command): void {
  command.description("evaluate methods on tasks").addHelpText(
    "after",
    `
Example:
  pyramidkv eval needle --methods full,pyramidkv,snapkv --kv-sizes 512,1024 --haystack essays/`,
  );
  qualityCommand(command.command("quality"));
  const needle = command
    .command("needle")
    .description(
      "Needle in a Haystack: a number hidden at several depths of texts of several lengths",
    );
  addModelOptions(needle)
    .option("--methods <name,...>", "methods to compare", names, Object.keys(METHODS))
    .option("--kv-sizes <n,...>", "tokens kept per layer", integers, [64, 128, 256, 512, 1024])
    .option("--lengths <n,...>", "prompt lengths in tokens", integers, [1000, 2000, 4000])
    .option("--depths <x,...>", "where the needle lies, 0 to 1", decimals, [0, 0.25, 0.5, 0.75, 1])
    .option("--haystack <path>", "a text file or a folder of them (default: the embedded text)")
    .option("--json", "print one JSON object with every answer")
    .action((flags: Flags) => needleEval(flags));
}

async function needleEval(flags: Flags): Promise<void> {
  const runs = flags.methods.flatMap((method): NeedleRun[] => {
    resolveCompression({ method });
    return method === "full" ? [{ method }] : flags.kvSizes.map((kvSize) => ({ method, kvSize }));
  });
  using interrupt = new Interrupt();
  const haystack = await readHaystack(flags.haystack);
  await using engine = await loadEngine(flags, interrupt.signal);
  const bar = progressBar("needle", "count");
  let cells: NeedleCell[];
  try {
    cells = await runNeedle(engine, {
      ...{ haystack, runs, lengths: flags.lengths, depths: flags.depths },
      signal: interrupt.signal,
      onCell: (done, total) => bar.update(done, total),
    });
  } finally {
    bar.stop();
  }
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ model: engine.model.name, cells })}\n`);
    return;
  }
  const rows = runs.map((run) => {
    const own = cells.filter((c) => c.run === run);
    const score = (of: readonly NeedleCell[]) => `${of.filter((c) => c.right).length}/${of.length}`;
    return [
      run.method,
      run.kvSize === undefined ? "" : String(run.kvSize),
      ...flags.lengths.map((length) => score(own.filter((c) => c.length === length))),
      score(own),
      formatBytes(Math.max(...own.map((c) => c.kvBytes))),
    ];
  });
  const head = ["method", "kept", ...flags.lengths.map(String), "all", "KV at most"];
  process.stdout.write(`${table(head, rows)}\n`);
}
