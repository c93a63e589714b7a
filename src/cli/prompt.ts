import { readFile } from "node:fs/promises";
import { PyramidKVError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export interface PromptFlags {
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly raw?: boolean;
  readonly system?: string;
}

/** The prompt's text: from `--prompt`, `--prompt-file` or stdin, in this order. */
export async function readPrompt({ prompt, promptFile }: PromptFlags): Promise<string> {
  if (prompt !== undefined && promptFile !== undefined) {
    throw new PyramidKVError("USAGE", "give --prompt or --prompt-file, not both");
  }
  if (prompt !== undefined) return requireText(prompt, "--prompt");
  if (promptFile !== undefined) return requireText(await readText(promptFile), promptFile);
  if (process.stdin.isTTY) {
    throw new PyramidKVError("USAGE", "no prompt: give --prompt, --prompt-file or text on stdin");
  }
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return requireText(decode(Buffer.concat(chunks), "stdin"), "stdin");
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

async function readText(path: string): Promise<string> {
  try {
    return decode(await readFile(path), path);
  } catch (error) {
    if (error instanceof PyramidKVError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "EISDIR"
        ? "is a directory"
        : code === "ENOENT"
          ? "no such file"
          : `cannot be read (${code})`;
    throw new PyramidKVError("BAD_FILE", `${path}: ${why}`, { cause: error });
  }
}

function decode(bytes: Buffer, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new PyramidKVError("BAD_FILE", `${source} is not valid UTF-8`, { cause });
  }
}

function requireText(text: string, source: string): string {
  if (text === "") throw new PyramidKVError("USAGE", `the prompt is empty (${source})`);
  return text;
}
