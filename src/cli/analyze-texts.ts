import { basename } from "node:path";
import type { Engine } from "../engine/engine.ts";
import { PyramidKVError } from "../errors.ts";
import {
  documentCases,
  encodeTexts,
  needleCases,
  type EvalCase,
  type Task,
} from "../eval/cases.ts";
import { readHaystack } from "../eval/haystack.ts";

/** A file's text. */
export interface Text {
  readonly name: string;
  readonly content: string;
}

/** What is studied: a text, or a task's prompt with the model's answer behind it. */
export interface Subject {
  readonly name: string;
  readonly tokens: Int32Array;
  /** Its last tokens, which come after the compression that methods are studied with. */
  readonly follow: number;
}

const ANSWER_TOKENS = 64;

/** The files' texts, or the embedded one. Throws `USAGE` on two of one name, `BAD_FILE` on what cannot be read. */
export async function readTexts(paths: readonly string[]): Promise<Text[]> {
  if (paths.length === 0) return [{ name: "embedded", content: await readHaystack() }];
  const texts = await Promise.all(
    paths.map(async (path) => ({ name: basename(path), content: await readHaystack(path) })),
  );
  const twice = texts.find(({ name }, i) => texts.findIndex((text) => text.name === name) < i);
  if (twice === undefined) return texts;
  throw new PyramidKVError("USAGE", `two texts are called ${twice.name}; rename one`);
}

/** A text's beginning. */
export function textSubject(
  engine: Engine,
  { name, content }: Text,
  { tokens: most, follow }: { readonly tokens: number; readonly follow: number },
): Subject {
  // No more of the text than so many tokens can hold is given to the tokenizer.
  const all = engine.tokenizer.encode(content.slice(0, 16 * most));
  return { name, tokens: all.slice(0, Math.min(most, engine.model.nCtx)), follow };
}

/** A task's prompt made of the texts, and what the model with its full cache answers. */
export async function taskSubject(
  engine: Engine,
  task: Task,
  texts: readonly Text[],
  signal: AbortSignal,
): Promise<Subject> {
  const { context, question } = taskCase(engine, task, texts);
  const prompt = [...context, ...question];
  using session = engine.createSession({ method: "full" });
  await session.prefill(prompt, { signal });
  const answer: number[] = [];
  for await (const { token } of session.generate({ maxTokens: ANSWER_TOKENS, signal })) {
    answer.push(token);
  }
  return {
    name: task,
    tokens: Int32Array.from([...prompt, ...answer]),
    follow: Math.max(1, answer.length),
  };
}

function taskCase({ tokenizer }: Engine, task: Task, texts: readonly Text[]): EvalCase {
  const sources = encodeTexts(
    tokenizer,
    texts.map(({ content }) => content),
  );
  const cases = {
    summary: () => documentCases(tokenizer, sources, 1),
    needle: () => needleCases(tokenizer, sources, { lengths: [4000], depths: [0.5] }),
  };
  const [first] = cases[task]();
  return first as EvalCase;
}
