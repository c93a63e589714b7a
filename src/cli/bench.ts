import { availableParallelism } from "node:os";
import type { Command } from "commander";
import { compare, type Comparison } from "../bench/compare.ts";
import { compareLoadTime } from "../bench/load-time.ts";
import { targetRows } from "../bench/targets.ts";
import { requireInteger } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { resolveModel } from "../hub/resolve.ts";
import { progressBar, style, table } from "./io.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, integer, integers, type ModelFlags } from "./options.ts";

type Flags = ModelFlags & {
  readonly lengths: number[];
  readonly tokens: number;
  readonly repetitions: number;
  readonly kvSize: number;
  readonly json?: boolean;
};

/** `pyramidkv bench`: speed, memory and exactness, side by side with libllama in the same process. */
export function benchCommand(command: Command): void {
  command.description("measure speed, memory and exactness side by side with libllama");
  addModelOptions(command)
    .option("--lengths <n,...>", "prompt lengths in tokens", integers, [512, 2000, 6000])
    .option("--tokens <n>", "tokens to decode", integer, 64)
    .option("--repetitions <n>", "rounds; medians are reported", integer, 3)
    .option("--kv-size <n>", "tokens kept per layer by pyramidkv", integer, 128)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
libllama runs with its full f16 cache and its default settings. The runs of a round follow each other
on the same tokens, and ratios are taken within a round, since machines are noisy.

Example:
  pyramidkv bench --lengths 2000 --repetitions 5`,
    )
    .action((flags: Flags) => bench(flags));
}

async function bench(flags: Flags): Promise<void> {
  requireInteger("repetitions", flags.repetitions, 1);
  requireInteger("tokens", flags.tokens, 2);
  for (const length of flags.lengths) requireInteger("length", length, 1);
  const threads = flags.threads ?? availableParallelism();
  const modelPath = await resolveModel(flags.model);
  const load = await compareLoadTime(modelPath, threads, flags.repetitions);
  await using engine = await loadEngine({ model: modelPath, threads });
  const longest = Math.max(...flags.lengths);
  const bar = progressBar("bench", "count");
  let comparisons: Comparison[];
  try {
    comparisons = await compare({
      engine,
      modelPath,
      threads,
      tokens: repeated(engine.tokenizer.encode(await readHaystack()), longest),
      lengths: flags.lengths,
      decodeTokens: flags.tokens,
      repetitions: flags.repetitions,
      kvSize: flags.kvSize,
      onStep: (done, total) => bar.update(done, total),
    });
  } finally {
    bar.stop();
  }
  const rows = targetRows(comparisons, load, engine.model.nLayer * flags.kvSize);
  if (flags.json === true) {
    const settings = { model: engine.model.name, threads, repetitions: flags.repetitions };
    process.stdout.write(`${JSON.stringify({ settings, load, comparisons, targets: rows })}\n`);
    return;
  }
  const speeds = comparisons.flatMap((c) => [
    [String(c.promptTokens), "libllama, full", ...speed(c.libllama)],
    ["", "pyramidkv, full", ...speed(c.full)],
    ["", `pyramidkv, ${flags.kvSize} kept`, ...speed(c.compressed)],
  ]);
  const head = ["prompt", "engine, cache", "prefill tokens/s", "decode tokens/s"];
  process.stdout.write(`${table(head, speeds)}\n\n`);
  const lines = rows.map((r) => [
    r.what,
    r.measured,
    r.must,
    r.pass ? style("green", "yes") : style("red", "NO"),
  ]);
  process.stdout.write(`${table(["measured", "", "must", ""], lines)}\n`);
}

function speed(s: { prefill: number; decode: number }): string[] {
  return [s.prefill.toFixed(0), s.decode.toFixed(1)];
}

/** Tokens of a text, over again until there are `n`. */
function repeated(tokens: Int32Array, n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => tokens[i % tokens.length] as number);
}
