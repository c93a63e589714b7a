import { basename } from "node:path";
import { requireText } from "../analysis/sample.ts";
import type { Engine } from "../engine/engine.ts";
import { PyramidKVError } from "../errors.ts";
import {
  DOCUMENT_TOKENS,
  documentCases,
  encodeTexts,
  needleCases,
  type EvalCase,
  type Task,
} from "../eval/cases.ts";
import { readHaystack } from "../eval/haystack.ts";
import { characterBefore } from "../eval/run/sample.ts";

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

/** The length of a needle's prompt, and the most tokens of an answer. */
const NEEDLE_TOKENS = 4000;
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

/** A text's beginning. Throws `USAGE` on one that is too short. */
export function textSubject(
  engine: Engine,
  { name, content }: Text,
  { tokens: most, follow }: { readonly tokens: number; readonly follow: number },
): Subject {
  // The tokenizer gets no more of the text than `most` tokens can hold.
  const part = content.slice(0, characterBefore(content, 16 * most));
  const encoded = engine.tokenizer.encode(part, { parseSpecial: false });
  const tokens = encoded.slice(0, Math.min(most, engine.model.nCtx));
  requireText(tokens.length, name);
  return { name, tokens, follow: Math.min(follow, tokens.length >> 1) };
}

/** A task's prompt, made of the texts. Throws `CONTEXT_FULL` where it leaves no room for an answer. */
export function taskPrompt({ tokenizer, model }: Engine, task: Task, texts: readonly Text[]) {
  const sources = encodeTexts(
    tokenizer,
    texts.map(({ content }) => content),
  );
  const most = model.nCtx - ANSWER_TOKENS;
  // A short text is studied as it is.
  const held = sources[0]?.length ?? 0;
  const document = Math.min(DOCUMENT_TOKENS.shortest, held);
  const cases = {
    summary: () => {
      return documentCases(tokenizer, sources, 1, { shortest: document, longest: document });
    },
    needle: () => {
      const lengths = [Math.min(NEEDLE_TOKENS, most, held)];
      return needleCases(tokenizer, sources, { lengths, depths: [0.5] });
    },
  };
  const [{ context, question }] = cases[task]() as [EvalCase];
  const prompt = Int32Array.from([...context, ...question]);
  if (prompt.length <= most) return prompt;
  throw new PyramidKVError(
    "CONTEXT_FULL",
    `the ${task} of ${prompt.length} tokens and an answer of ${ANSWER_TOKENS} exceed the model's context of ${model.nCtx}`,
  );
}

/** A task's prompt, and what the model with its full cache answers. */
export async function answeredSubject(
  engine: Engine,
  name: Task,
  prompt: Int32Array,
  signal: AbortSignal,
): Promise<Subject> {
  using session = engine.createSession({ method: "full" });
  await session.prefill(prompt, { signal });
  const answer: number[] = [];
  for await (const { token, finishReason } of session.generate({
    maxTokens: ANSWER_TOKENS,
    signal,
  })) {
    if (finishReason !== "stop") answer.push(token); // the token that ends an answer is not read
  }
  const tokens = Int32Array.from([...prompt, ...answer]);
  return { name, tokens, follow: Math.max(1, answer.length) };
}
