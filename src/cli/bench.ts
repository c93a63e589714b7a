import { availableParallelism } from "node:os";
import { Option, type Command } from "commander";
import { resolveCompression } from "../compression/resolve.ts";
import { requireInteger, requireOneOf } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { resolveModel } from "../hub/resolve.ts";
import { GRID_OUTPUTS } from "./bench-grid.ts";
import { benchServeCommand } from "./bench-serve.ts";
import { SUITES, type BenchFlags, type BenchOption, type Suite } from "./bench-suites.ts";
import { table } from "./format.ts";
import { print, printJson, style } from "./terminal.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, integer, integers, names } from "./options.ts";

/** `pyramidkv bench`: speed, memory and exactness, side by side with libllama in the same process. */
export function benchCommand(command: Command): void {
  command
    .description("measure speed, memory and exactness side by side with libllama")
    .enablePositionalOptions()
    .addHelpText(
      "after",
      `
Without a suite, engine is run. libllama runs with its full f16 cache and its default settings. The runs of
a round follow each other on the same tokens, and ratios are taken within a round, since machines are noisy.

Examples:
  pyramidkv bench --lengths 2000 --repetitions 5
  pyramidkv bench grid --methods full,snapkv,funnel --kv-sizes 128,512 --output md
  pyramidkv bench grid --batch-sizes 1,4,16 --lengths 2000
  pyramidkv bench prefill --kernels avx2`,
    );
  for (const [name, suite] of Object.entries(SUITES)) {
    const { isDefault = false, summary } = suite;
    const subcommand = command.command(name, { isDefault }).description(summary);
    // A name that is no suite's reaches the one that is run without a name.
    addModelOptions(subcommand.allowExcessArguments(isDefault));
    for (const option of suite.options) subcommand.addOption(BENCH_OPTIONS[option]());
    subcommand.option("--json", "print one JSON object").action((flags: Partial<BenchFlags>) => {
      for (const unknown of subcommand.args) requireOneOf("suite", unknown, Object.keys(SUITES));
      return bench(suite, { ...DEFAULTS, ...flags } as BenchFlags);
    });
  }
  benchServeCommand(command.command("serve"));
}

/** What suites take, each with a default where `DEFAULTS` has one. */
const BENCH_OPTIONS = {
  lengths: () => new Option("--lengths <n,...>", "prompt lengths in tokens").argParser(integers),
  tokens: () => option("tokens", "--tokens <n>", "tokens to decode", integer),
  repetitions: () =>
    option("repetitions", "--repetitions <n>", "rounds; medians are reported", integer),
  kvSize: () => option("kvSize", "--kv-size <n>", "tokens kept per layer", integer),
  methods: () => option("methods", "--methods <name,...>", "methods to measure", names),
  kvSizes: () => option("kvSizes", "--kv-sizes <n,...>", "tokens kept per layer", integers),
  batchSizes: () =>
    option("batchSizes", "--batch-sizes <n,...>", "sequences that decode together", integers),
  output: () => option("output", "--output <format>", "how rows are printed").choices(GRID_OUTPUTS),
  append: () => new Option("--append <path>", "add the results to a CSV file"),
} as const satisfies Record<BenchOption, () => Option>;

const DEFAULTS = {
  tokens: 64,
  repetitions: 3,
  kvSize: 128,
  methods: ["full", "pyramidkv"],
  kvSizes: [128],
  batchSizes: [1],
  output: "table",
};

function option(
  name: keyof typeof DEFAULTS,
  flag: string,
  help: string,
  parse?: (text: string) => unknown,
): Option {
  const made = new Option(flag, help).default(DEFAULTS[name]);
  return parse === undefined ? made : made.argParser(parse);
}

async function bench(suite: Suite, flags: BenchFlags): Promise<void> {
  const lengths = flags.lengths ?? suite.lengths;
  requireInteger("repetitions", flags.repetitions, 1);
  requireInteger("tokens", flags.tokens, 2);
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
    printJson({ settings, ...json, targets });
    return;
  }
  print(`${table(result.head, result.speeds)}\n`);
  const lines = result.targets.map((r) => [
    r.what,
    r.measured,
    r.must,
    r.pass ? style("green", "yes") : style("red", "NO"),
  ]);
  print(table(["measured", "", "must", ""], lines));
}
