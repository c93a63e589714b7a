import type { Command } from "commander";
import { Interrupt } from "./interrupt.ts";
import type { Foresight } from "../compression/budgets/expected.ts";
import { PyramidKVError } from "../errors.ts";
import { isEndless } from "../compression/budgets/expected.ts";
import { effectiveOptions } from "../compression/resolve.ts";
import { longbenchRates } from "../plan/longbench.ts";
import type { MemoryPlan } from "../plan/memory.ts";
import { PUBLISHED, WEIGHT_TYPES } from "../plan/model-shape.ts";
import { plan, type Plan } from "../plan/plan.ts";
import { machineMemory } from "./fits.ts";
import { formatBytes, sparkline, table } from "./format.ts";
import type { PlanJson } from "./json.ts";
import { print, printJson } from "./terminal.ts";
import { noteUnused } from "./unused.ts";
import {
  addCompressionOptions,
  addModelChoice,
  definedOnly,
  givenSize,
  integer,
  sessionOptions,
  type CompressionFlags,
  type GivenSize,
  type ModelFlags,
} from "./options.ts";

type Flags = ModelFlags &
  CompressionFlags & {
    readonly weights?: string;
    readonly context?: number;
    readonly maxTokens?: number;
    readonly batch?: number;
    readonly memory?: GivenSize;
    readonly longbench?: boolean;
    readonly json?: boolean;
  };

/** `pyramidkv plan`: what a model, a prompt and a method need in memory, before anything is fetched. */
export function planCommand(command: Command): void {
  command.description("predict memory from a model's numbers, without fetching its weights");
  addCompressionOptions(addModelChoice(command))
    .option("--weights <type>", "weight type of a published model (default: q4_K)")
    .option("--context <n>", "tokens of a prompt (default: the model's context)", integer)
    .option("--max-tokens <n>", "tokens of an answer (default: 0)", integer)
    .option("--batch <n>", "sequences whose caches are held at once (default: 1)", integer)
    .option(
      "--memory <size>",
      "what the machine has: 24GiB (default: what this one has)",
      givenSize,
    )
    .option("--longbench", "compression rates on LongBench's mean prompt lengths instead")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Published models, planned by their numbers alone: ${Object.keys(PUBLISHED).join(", ")}.
Any other model is a .gguf, an alias or owner/repo[:quant], of which the header alone is read.
Weight types: ${WEIGHT_TYPES.join(", ")}.

Examples:
  pyramidkv plan --model llama-3-70b --context 8000 --kv-size 128 --batch 32 --memory 64GiB
  pyramidkv plan --model bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M --context 32768 --memory 8GiB
  pyramidkv plan --longbench`,
    )
    .action((flags: Flags) => runPlan(flags));
}

async function runPlan(flags: Flags): Promise<void> {
  if (flags.longbench === true) {
    requireAlone(flags);
    printRates(flags.json === true);
    return;
  }
  using interrupt = new Interrupt();
  const { model, weights, context, batch, maxTokens: newTokens } = flags;
  const memory = flags.memory?.bytes ?? machineMemory();
  const result = await plan({
    ...(await sessionOptions(flags)),
    ...definedOnly({ model, weights, context, newTokens, batch, memory }),
    ownKernels: flags.kernels !== "ggml",
    signal: interrupt.signal,
  });
  noteUnused({}, result.setting.compression);
  const place = flags.memory?.text ?? `this machine's ${formatBytes(memory)}`;
  if (flags.json === true) {
    printJson<PlanJson>({ ...asJson(result), verdict: verdict(result, place) });
  } else printPlan(result, place);
}

/** The rates follow from LongBench's lengths alone. */
function requireAlone(flags: Flags): void {
  const others = Object.keys(
    definedOnly({
      ...flags,
      longbench: undefined,
      json: undefined,
      quiet: undefined,
      model: undefined,
    }),
  );
  if (others.length === 0) return;
  throw new PyramidKVError(
    "USAGE",
    `--longbench shows rates of published lengths, on which nothing else has an effect; leave out ${others.map(flagOf).join(", ")}`,
  );
}

/** `--kv-size` of `kvSize`. */
function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
}

function asJson({ model, setting, ...rest }: Plan) {
  const { compression, kvType, ...numbers } = setting;
  const { nLayer, nHead, nHeadKv, headDim } = model;
  const method = { method: compression.method.name, ...effectiveOptions(compression) };
  return {
    model: {
      name: model.name,
      layers: nLayer,
      heads: nHead,
      kvHeads: nHeadKv,
      headDim,
      compressibleLayers: model.compressible.length,
    },
    setting: { ...method, kvType: kvType.name, ...numbers },
    ...rest,
  };
}

const FORESIGHT: Readonly<Record<Foresight, string>> = {
  known: "",
  even: "; how it is divided depends on the prompt",
  "at most": " at most; how much depends on the prompt",
};

function printPlan(result: Plan, place: string): void {
  const { model, setting, compressed, full, rate, fit } = result;
  const { compression, context, batch } = setting;
  const { method, options } = compression;
  const size = method.options.includes("kvSize") ? ` ${options.kvSize}` : "";
  const row = (what: string, of: (p: MemoryPlan) => number): string[] => [
    what,
    formatBytes(Math.round(of(full))),
    formatBytes(Math.round(of(compressed))),
  ];
  const others = `, ${batch - 1} more`;
  const lines = [
    row("weights", (p) => p.weights),
    row("process", (p) => p.process),
    row("KV cache, one sequence", (p) => p.kv.endBytes),
    ...(batch > 1 ? [row(`KV cache${others}`, (p) => (batch - 1) * p.kv.endBytes)] : []),
    row("while a prompt is read: a layer in full", (p) => p.kv.peakBytes - p.kv.bytes),
    row("… activations", (p) => p.activations),
    row("most at any time", (p) => p.total),
  ];
  print(`${model.name}, prompts of ${context} tokens, ${method.name}${size}, batch of ${batch}\n`);
  print(`${table(["", "full", method.name], lines)}\n`);
  const held = `${(rate * 100).toFixed(2)} % of the full cache`;
  const guess = FORESIGHT[compressed.kv.foresight];
  const { layers, compressible } = model;
  if (compressible.length < layers.length) {
    const windows = [...new Set(layers.flatMap(({ window }) => window ?? []))];
    const sharing = layers.some(({ sharesKvOf }) => sharesKvOf !== undefined);
    const isRecurrent = layers.some(({ recurrence }) => recurrence !== undefined);
    const others = [
      ...(windows.length > 0
        ? [`see the last ${windows.join(" or ")} tokens and keep no more`]
        : []),
      ...(isRecurrent ? ["pass on a state of fixed size"] : []),
      ...(sharing ? ["attend to what one of these keeps"] : []),
    ];
    print(
      `${method.name} acts on ${compressible.length} of ${layers.length} layers; the others ${others.join(" or ")}\n`,
    );
  }
  print(`kept   ${sparkline(compressed.kv.layers.map((l) => l.kept))}  ${held}${guess}\n`);
  if (fit !== undefined) {
    const yes = (fits: boolean) => (fits ? "fits" : "does not fit");
    const head = [`in ${place}`, "", "largest batch", "longest prompt"];
    const rows = ([name, f]: [string, typeof fit.full]) => [
      name,
      yes(f.fits),
      String(f.largestBatch),
      String(f.largestContext),
    ];
    const both: [string, typeof fit.full][] = [
      ["full", fit.full],
      [method.name, fit.compressed],
    ];
    print(`${table(head, both.map(rows))}\n`);
  }
  print(verdict(result, place));
}

/** What the numbers mean, in a sentence. */
function verdict({ model, setting, compressed, full, fit }: Plan, place: string): string {
  const { context, compression } = setting;
  const { name } = compression.method;
  const { nCtx } = model;
  const newTokens = isEndless(compression, model) ? 0 : setting.newTokens;
  if (context + newTokens > nCtx) {
    return `The model's context is ${nCtx} tokens: a prompt of ${context}${newTokens > 0 ? ` and an answer of ${newTokens}` : ""} will be refused.`;
  }
  if (fit === undefined) return "";
  const { compressed: mine, full: whole } = fit;
  const needs = (p: MemoryPlan) => formatBytes(Math.round(p.total));
  const longest =
    mine.largestContext + newTokens >= nCtx
      ? `prompts of up to ${mine.largestContext} tokens, all of the model's context, fit`
      : `prompts of up to ${mine.largestContext} tokens fit`;
  if (!mine.fits) {
    const instead = mine.largestContext > 0 ? `; ${longest}` : "; not even a short prompt does";
    return `${name} needs ${needs(compressed)} and does not fit into ${place}${instead}.`;
  }
  const beside = whole.fits
    ? `the full cache too (${needs(full)})`
    : `the full cache does not (${needs(full)})`;
  return `${name} fits into ${place} (${needs(compressed)}), ${beside}; ${longest}.`;
}

function printRates(json: boolean): void {
  const rates = longbenchRates();
  if (json) {
    printJson(rates);
    return;
  }
  const rows = rates.datasets.map(({ name, averageLength, rates: datasetRates }) => [
    name,
    String(averageLength),
    ...datasetRates.map((rate) => (rate >= 1 ? "nothing dropped" : `${(rate * 100).toFixed(2)} %`)),
  ]);
  const head = ["dataset", "average sequence length", ...rates.kvSizes.map((n) => `KV ${n}`)];
  print(table(head, rows));
}
