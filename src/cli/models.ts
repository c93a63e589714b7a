import type { Command } from "commander";
import { PyramidKVError } from "../errors.ts";
import { openGguf } from "../gguf/file.ts";
import { ALIASES, type Alias } from "../hub/aliases.ts";
import { cachedModel } from "../hub/resolve.ts";
import { architectureOf, ARCHITECTURES } from "../models/architectures.ts";
import { Interrupt } from "./interrupt.ts";
import { formatBytes, table } from "./format.ts";
import type { InspectJson, ModelsJson } from "./json.ts";
import { note, print, printJson } from "./terminal.ts";
import { fetchModel } from "./load-engine.ts";

/** `pyramidkv models`: which models have short names, fetching one, and what is inside a file. */
export function modelsCommand(command: Command): void {
  command.description("list, fetch and inspect models").addHelpText(
    "after",
    `
Examples:
  pyramidkv models list
  pyramidkv models pull smollm2-135m
  pyramidkv models inspect ./model.gguf --json`,
  );
  command
    .command("list")
    .description("the models with short names, and which are here already")
    .option("--json", "print JSON")
    .action(list);
  command.command("pull <model>").description("fetch a model and print its path").action(pull);
  command
    .command("inspect <model>")
    .description("what a GGUF file holds: architecture, sizes, tensor types")
    .option("--json", "print JSON")
    .action(inspect);
}

async function list(flags: { json?: boolean }): Promise<void> {
  const rows = await Promise.all(
    Object.entries(ALIASES).map(async ([name, alias]: [string, Alias]) => ({
      name,
      family: alias.family,
      summary: alias.summary,
      hub: alias.hub,
      path: (await cachedModel(name)) ?? null,
    })),
  );
  if (flags.json === true) {
    printJson<ModelsJson>(rows);
    return;
  }
  const cells = Object.values(ARCHITECTURES).flatMap((family) => {
    const of = rows.filter((row) => row.family === family.name);
    const title = [family.name, "", `${family.summary}; proved on ${family.provedOn}`];
    return [title, ...of.map((r) => [`  ${r.name}`, r.path === null ? "" : "here", r.summary])];
  });
  print(table(["family and model", "", "about"], cells));
}

async function pull(model: string): Promise<void> {
  using interrupt = new Interrupt();
  const isHere = (await cachedModel(model)) !== undefined;
  const path = await fetchModel({ model, force: true }, interrupt.signal);
  note(isHere ? `${model} is here already` : `${model} is here now`);
  print(path);
}

async function inspect(model: string, flags: { json?: boolean }): Promise<void> {
  using interrupt = new Interrupt();
  await using file = await openGguf(await fetchModel({ model, force: true }, interrupt.signal));
  const types = new Map<string, number>();
  for (const { type } of file.tensors.values()) {
    types.set(type.name, (types.get(type.name) ?? 0) + 1);
  }
  const architecture = file.metadata.string("general.architecture") ?? null;
  const result = {
    path: file.path,
    bytes: file.size,
    name: file.metadata.string("general.name") ?? null,
    architecture,
    parameters: hyperParameters(file),
    tensors: Object.fromEntries(types),
    tokenizer: file.metadata.string("tokenizer.ggml.model") ?? null,
    chatTemplate: file.metadata.has("tokenizer.chat_template"),
  };
  if (flags.json === true) {
    printJson<InspectJson>(result);
    return;
  }
  const rows: [string, string][] = [
    ["file", `${file.path} (${formatBytes(file.size)})`],
    ["name", result.name ?? "-"],
    ["architecture", architecture ?? "-"],
    ...Object.entries(result.parameters ?? {})
      .filter(([, v]) => v !== null)
      .map(([k, v]): [string, string] => [WORDS[k] ?? k, String(v)]),
    ["tensors", [...types].map(([type, n]) => `${n} × ${type}`).join(", ")],
    ["tokenizer", result.tokenizer ?? "-"],
    ["chat template", result.chatTemplate ? "yes" : "no"],
  ];
  print(table(["", ""], rows).split("\n").slice(1).join("\n"));
}

/** Names of parameters that are not one word. */
const WORDS: Readonly<Record<string, string>> = {
  kvHeads: "kv heads",
  headDim: "head size",
  expertsUsed: "experts used",
  compressibleLayers: "layers that methods act on",
  window: "tokens that layers with a window see",
  recurrentLayers: "recurrent layers",
  sharingLayers: "layers that share others' keys and values",
};

/** The numbers of a supported model; null for one that only can be looked at. */
function hyperParameters({ metadata }: Awaited<ReturnType<typeof openGguf>>) {
  try {
    const hp = architectureOf(metadata).hyperParameters(metadata);
    const ffn = hp.layers[0]?.ffn;
    return {
      layers: hp.nLayer,
      width: hp.nEmbd,
      heads: hp.nHead,
      kvHeads: hp.nHeadKv,
      headDim: hp.headDim,
      context: hp.nCtx,
      vocabulary: hp.nVocab,
      compressibleLayers: hp.compressible.length,
      recurrentLayers: hp.layers.filter(({ recurrence }) => recurrence !== undefined).length,
      sharingLayers: hp.layers.filter(({ sharesKvOf }) => sharesKvOf !== undefined).length,
      window: hp.layers.find(({ window }) => window !== undefined)?.window ?? null,
      ...(ffn?.kind === "moe" ? { experts: ffn.nExpert, expertsUsed: ffn.nExpertUsed } : {}),
    };
  } catch (error) {
    if (!(error instanceof PyramidKVError)) throw error;
    note(`note: ${error.message}`);
    return null;
  }
}
