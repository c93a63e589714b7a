import { PyramidKVError } from "../../errors.ts";
import { readText } from "../../files.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { parseObject } from "../predictions.ts";
import { promptParts, type Sample } from "../run/sample.ts";
import { RESERVED } from "./samples.ts";

export interface Version2Options {
  /** LongBench v2's `data.json`, or a JSON object a line. */
  readonly path: string;
  readonly limit: number;
  /** Tokens of a prompt at most. */
  readonly maxPrompt: number | undefined;
  readonly nCtx: number;
  readonly tokenizer: Tokenizer;
}

const LETTERS = ["A", "B", "C", "D"] as const;
const FIELDS = ["_id", "difficulty", "length", "question", "answer", "context"] as const;
const CHOICES = LETTERS.map((letter) => `choice_${letter}` as const);
const ANSWER_TOKENS = 128;
/** 2: prompts are tokenized whole. */
const VERSION = 2;

type Field = (typeof FIELDS)[number] | (typeof CHOICES)[number];
type Entry = Readonly<Record<Field, string>>;

/**
 * LongBench v2 (Bai et al., arXiv 2412.15204): choices of four on long contexts, in our own words. A task is a class of
 * lengths, `short`, `medium` or `long`.
 *
 * @throws `BAD_FILE`
 */
export async function version2Samples(
  o: Version2Options,
): Promise<{ samples: Sample[]; problems: string[] }> {
  const { entries, problems } = await readEntries(o.path, o.limit);
  const most = o.maxPrompt ?? Math.max(64, o.nCtx - RESERVED);
  const samples = entries.map((entry): Sample => {
    const choices = LETTERS.map((letter) => `${letter}. ${entry[`choice_${letter}`]}`).join("\n");
    const question = `\n\nQuestion: ${entry.question}\n${choices}\n\nAnswer in the form "The correct answer is (B)."`;
    const text = `Read this text and choose the right answer to the question after it.\n\n${entry.context}${question}`;
    return {
      task: `longbench-v2/${entry.length}`,
      version: VERSION,
      id: entry._id,
      scored: { metric: "choice" },
      truth: { answers: [entry.answer] },
      maxTokens: ANSWER_TOKENS,
      prompts: "own",
      parts: () => promptParts(o.tokenizer, { text, question }, { most, chat: true }),
    };
  });
  return { samples, problems };
}

async function readEntries(
  path: string,
  limit: number,
): Promise<{ entries: Entry[]; problems: string[] }> {
  const text = await readText(path);
  const entries: Entry[] = [];
  const problems: string[] = [];
  for (const [i, object] of objectsOf(text, path).entries()) {
    if (entries.length === limit) break;
    const missing = [...FIELDS, ...CHOICES].filter((name) => typeof object[name] !== "string");
    if (missing.length === 0) entries.push(object as unknown as Entry);
    else problems.push(`${path}: entry ${i + 1} has no ${missing.join(", ")}`);
  }
  if (entries.length === 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${path} holds no entries; ${problems[0] ?? "it is empty"}`,
    );
  }
  return { entries, problems };
}

function objectsOf(text: string, path: string): Readonly<Record<string, unknown>>[] {
  if (!text.trimStart().startsWith("[")) {
    const lines = text.split("\n");
    return lines.flatMap((line, i) =>
      line.trim() === "" ? [] : [parseObject(line, `${path}: line ${i + 1}`)],
    );
  }
  try {
    const list = JSON.parse(text) as unknown[];
    return list.map((value) => (value ?? {}) as Record<string, unknown>);
  } catch (error) {
    throw new PyramidKVError("BAD_FILE", `${path} cannot be read as JSON`, { cause: error });
  }
}
