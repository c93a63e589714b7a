import { fstatSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { PyramidKVError } from "../errors.ts";
import { decodeText, readText } from "../files.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { note } from "./terminal.ts";

export interface PromptFlags {
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly raw?: boolean;
  readonly system?: string;
}

const STDIN = "-";

/**
 * The prompt's text: a document and a question on it, or one of them. The document is `--prompt-file`, or what comes on
 * stdin; the question, `--prompt`, comes after it.
 */
export async function readPrompt({ prompt, promptFile }: PromptFlags): Promise<string> {
  if (prompt !== undefined) requireText(prompt, "--prompt");
  const document = await readDocument(promptFile, prompt !== undefined);
  if (document === undefined) {
    if (prompt !== undefined) return prompt;
    throw new PyramidKVError("USAGE", "no prompt: give --prompt, --prompt-file or text on stdin");
  }
  return prompt === undefined ? document : `${document.trimEnd()}\n\n${prompt}`;
}

/** The prompt's tokens: in the model's chat form, or as it is. */
export function encodePrompt(tokenizer: Tokenizer, text: string, flags: PromptFlags): Int32Array {
  if (flags.raw === true) {
    if (flags.system !== undefined) {
      throw new PyramidKVError("USAGE", "--system has no place in a --raw prompt");
    }
    return tokenizer.encode(text);
  }
  const system =
    flags.system === undefined ? [] : [{ role: "system", content: flags.system } as const];
  return tokenizer.encodeChat([...system, { role: "user", content: text }]);
}

async function readDocument(
  path: string | undefined,
  hasQuestion: boolean,
): Promise<string | undefined> {
  if (path !== undefined && path !== STDIN) return requireText(await readText(path), path);
  if (process.stdin.isTTY && path === undefined) return undefined;
  const bytes = await readStdin(hasQuestion && path === undefined);
  if (bytes.length > 0) return requireText(decodeText(bytes, "stdin"), "stdin");
  return hasQuestion && path === undefined ? undefined : requireText("", "stdin");
}

/** Programs start others with an open socket on stdin that nobody writes to: text comes within this time, or none. */
const SILENT_MS = 1_000;
/** People who wait are told what for. */
const TOLD_MS = 3_000;

/** All of stdin; nothing where it is optional and a socket that stays silent. */
async function readStdin(isOptional: boolean): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const { stdin } = process;
  const hint = setTimeout(() => {
    if (chunks.length === 0) note("waiting for text on stdin (Ctrl-D ends it)");
  }, TOLD_MS).unref();
  const input = (async () => {
    for await (const chunk of stdin) chunks.push(chunk as Buffer);
  })();
  try {
    if (isOptional && fstatSync(0).isSocket()) {
      await Promise.race([input, delay(SILENT_MS)]);
      if (chunks.length === 0) {
        stdin.destroy();
        return Buffer.alloc(0);
      }
    }
    await input;
    return Buffer.concat(chunks);
  } finally {
    clearTimeout(hint);
  }
}

function requireText(text: string, source: string): string {
  if (text.trim() === "") throw new PyramidKVError("USAGE", `the prompt is empty (${source})`);
  return text;
}
