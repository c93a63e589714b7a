import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { PyramidKVError } from "../../errors.ts";
import type { Phrases } from "./generators.ts";
import type { Wording } from "./tasks.ts";

/** How RULER's tasks are put, and whose words these are. */
export interface RulerPrompts {
  /** `own`, or the file's name. */
  readonly name: string;
  readonly phrases: Phrases;
  /** Of a task, where it differs from our own. */
  wording(task: string): Partial<Wording>;
}

export const OWN_RULER_PROMPTS: RulerPrompts = {
  name: "own",
  phrases: {
    needle: "One of the secret {type_needle_v} for {key} is {value}.",
    noise: "Rain falls on the roof. A clock ticks. The road is long. Someone waits. So it goes on.",
  },
  wording: () => ({}),
};

/**
 * The published wording from a file: `{ "tasks": { name: { "template", "answer_prefix" } }, "generation": { "needle",
 * "noise" } }`.
 *
 * @throws `BAD_FILE`
 */
export async function readRulerPrompts(path: string): Promise<RulerPrompts> {
  let value: Given;
  try {
    value = JSON.parse(await readFile(path, "utf8")) as Given;
  } catch (error) {
    throw new PyramidKVError("BAD_FILE", `${path} cannot be read as JSON`, { cause: error });
  }
  const { tasks, generation = {} } = value;
  if (typeof tasks !== "object") {
    throw new PyramidKVError("BAD_FILE", `${path} holds no "tasks" with their templates`);
  }
  const { needle, noise } = generation;
  const own = OWN_RULER_PROMPTS.phrases;
  return {
    name: basename(path),
    phrases: { needle: textOr(needle, own.needle), noise: textOr(noise, own.noise) },
    wording: (name) => {
      const { template, answer_prefix: answerPrefix } = tasks[name] ?? {};
      return typeof template === "string" && typeof answerPrefix === "string"
        ? { template, answerPrefix }
        : {};
    },
  };
}

interface Given {
  readonly tasks?: Readonly<Record<string, { template?: unknown; answer_prefix?: unknown }>>;
  readonly generation?: { readonly needle?: unknown; readonly noise?: unknown };
}

function textOr(value: unknown, other: string): string {
  return typeof value === "string" ? value : other;
}
