import { basename } from "node:path";
import { PyramidKVError } from "../../errors.ts";
import { readJson } from "../../files.ts";
import type { Phrases } from "./generators.ts";
import type { Wording } from "./tasks.ts";

/** How RULER's tasks are put, and whose words these are. */
export interface RulerPrompts {
  /** `own`, or the file's name. */
  readonly name: string;
  readonly phrases: Phrases;
  /** The prompt of a task, where it differs from our own. Throws `BAD_FILE` where the file has none. */
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
  const value = await readJson(path);
  const { tasks, generation } = objectOf(value);
  const { needle, noise } = objectOf(generation);
  const name = basename(path);
  const phrases = OWN_RULER_PROMPTS.phrases;
  return {
    name,
    phrases: { needle: textOr(needle, phrases.needle), noise: textOr(noise, phrases.noise) },
    wording: (task) => {
      const { template, answer_prefix: answerPrefix } = objectOf(objectOf(tasks)[task]);
      const isWhole = typeof template === "string" && typeof answerPrefix === "string";
      // Our own words must not go by the file's name.
      if (!isWhole || !template.includes("{context}")) {
        throw new PyramidKVError(
          "BAD_FILE",
          `${name} has no "template" with {context} and "answer_prefix" for ${task}`,
        );
      }
      return { template, answerPrefix };
    },
  };
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function textOr(value: unknown, other: string): string {
  return typeof value === "string" ? value : other;
}
