import { availableParallelism } from "node:os";
import type { Command } from "commander";
import { resolveCompression } from "../compression/resolve.ts";
import { requireInteger, requireOneOf } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { resolveModel } from "../hub/resolve.ts";
import { GRID_OUTPUTS, requireOutput } from "./bench-grid.ts";
import { benchServeCommand } from "./bench-serve.ts";
import { SUITES, type BenchFlags, type Suite } from "./bench-suites.ts";
import { style, table } from "./io.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, integer, integers, names } from "./options.ts";

/** `pyramidkv bench`: speed, memory and exactness, side by side with libllama in the same process. */
export function benchCommand(command: Command): void {
  const suites = Object.entries(SUITES).map(([name, s]) => `  ${name.padEnd(9)}${s.summary}`);
  command
    .description("measure speed, memory and exactness side by side with libllama")
    .argument("[suite]", Object.keys(SUITES).join(" or "), "engine");
  benchServeCommand(command.enablePositionalOptions().command("serve"));
  addModelOptions(command)
    .option("--lengths <n,...>", "prompt lengths in tokens", integers)
    .option("--tokens <n>", "tokens to decode", integer, 64)
    .option("--repetitions <n>", "rounds; medians are reported", integer, 3)
    .option("--kv-size <n>", "tokens kept per layer by pyramidkv", integer, 128)
    .option("--methods <name,...>", "grid: methods to measure", names, ["full", "pyramidkv"])
    .option("--kv-sizes <n,...>", "grid: tokens kept per layer", integers, [128])
    .option("--batch-sizes <n,...>", "grid: sequences that decode together", integers, [1])
    .option("--output <format>", `grid: ${GRID_OUTPUTS.join(", ")}`, "table")
    .option("--append <path>", "grid: add the results to a CSV file")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Suites:
${suites.join("\n")}

libllama runs with its full f16 cache and its default settings. The runs of a round follow each other
on the same tokens, and ratios are taken within a round, since machines are noisy.

Examples:
  pyramidkv bench --lengths 2000 --repetitions 5
  pyramidkv bench grid --methods full,snapkv,funnel --kv-sizes 128,512 --output md
  pyramidkv bench grid --batch-sizes 1,4,16 --lengths 2000
  pyramidkv bench prefill --kernels avx2`,
    )
    .action((suite: string, flags: BenchFlags) => bench(suite, flags));
}

async function bench(name: string, flags: BenchFlags): Promise<void> {
  const suite = SUITES[requireOneOf("suite", name, Object.keys(SUITES))] as Suite;
  const lengths = flags.lengths ?? suite.lengths;
  requireInteger("repetitions", flags.repetitions, 1);
  requireInteger("tokens", flags.tokens, 2);
  requireOutput(flags.output);
  for (const method of flags.methods) {
    for (const kvSize of flags.kvSizes) resolveCompression({ method, kvSize });
  }
  for (const length of lengths) requireInteger("length", length, 1);
  for (const batch of flags.batchSizes) requireInteger("batch size", batch, 1, 64);
  const threads = flags.threads ?? availableParallelism();
  const modelPath = await resolveModel(flags.model);
  await using engine = await loadEngine({ ...flags, model: modelPath, threads });
  const text = await readHaystack();
  const result = await suite.run({ ...flags, threads, modelPath, engine, text }, lengths);
  if (result === undefined) return;
  if (flags.json === true) {
    const { repetitions } = flags;
    const settings = { model: engine.model.name, threads, repetitions, kernels: engine.kernels };
    const { json, targets } = result;
    process.stdout.write(`${JSON.stringify({ settings, ...json, targets })}\n`);
    return;
  }
  process.stdout.write(`${table(result.head, result.speeds)}\n\n`);
  const lines = result.targets.map((r) => [
    r.what,
    r.measured,
    r.must,
    r.pass ? style("green", "yes") : style("red", "NO"),
  ]);
  process.stdout.write(`${table(["measured", "", "must", ""], lines)}\n`);
}
