import { basename } from "node:path";
import { PyramidKVError } from "../../errors.ts";
import { readJson } from "../../files.ts";
import type { TextParts } from "../run/sample.ts";
import { DATASETS } from "./datasets.ts";
import type { Example } from "./examples.ts";

/** Prompt templates by dataset, and whose they are. */
export interface Prompts {
  /** `own`, or the file's name. */
  readonly name: string;
  readonly templates: Readonly<Record<string, string>>;
}

/** Our own words for all datasets. */
export const OWN_PROMPTS: Prompts = {
  name: "own",
  templates: Object.fromEntries(
    Object.entries(DATASETS).map(([name, { template }]) => [name, template]),
  ),
};

/**
 * The published templates from a file: LongBench's own `dataset2prompt.json`, a text by dataset, or
 * `{ "datasets": { name: { "template": … } } }`.
 *
 * @throws `BAD_FILE`
 */
export async function readPrompts(path: string): Promise<Prompts> {
  const value = await readJson(path);
  const { datasets = value } = (value ?? {}) as { datasets?: unknown };
  const templates = Object.entries((datasets ?? {}) as Record<string, unknown>).flatMap(
    ([name, given]) => {
      const template =
        typeof given === "string" ? given : (given as { template?: unknown } | null)?.template;
      return typeof template === "string" ? [[name, template] as const] : [];
    },
  );
  if (templates.length === 0) {
    throw new PyramidKVError("BAD_FILE", `${path} holds no prompt templates by dataset`);
  }
  return { name: basename(path), templates: Object.fromEntries(templates) };
}

/** The prompt of an example. What follows the context is the question; where it comes first, nothing does. */
export function promptText(
  { name, templates }: Prompts,
  dataset: string,
  { context, input }: Pick<Example, "context" | "input">,
): TextParts {
  const template = templates[dataset];
  if (template?.includes("{context}") !== true) {
    throw new PyramidKVError("BAD_FILE", `${name} has no template with {context} for ${dataset}`);
  }
  const [before = "", ...rest] = template.split("{context}");
  // Functions, since a text's own "$&" must not be read as a pattern.
  const filled = (part: string) => part.replace("{input}", () => input);
  const question = filled(rest.join("{context}"));
  return { text: filled(before) + context + question, question };
}
