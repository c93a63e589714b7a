import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PyramidKVError } from "../errors.ts";
import { cannotRead, readText } from "../files.ts";

/** The text that comes with the package: the Declaration of Independence and Article I, public domain. */
const EMBEDDED = new URL("../../assets/founding-documents.txt", import.meta.url);

/** A text file; of a .jsonl file the `context` of its lines, as LongBench has them. */
async function readContexts(path: string): Promise<string> {
  const text = await readText(path);
  if (!path.endsWith(".jsonl")) return text;
  const contexts = text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    try {
      const { context } = JSON.parse(line) as { context?: unknown };
      if (typeof context === "string") return [context];
    } catch {
      // Named below, like a line without a context.
    }
    throw new PyramidKVError("BAD_FILE", `${path}: line ${i + 1} is no JSON object with a context`);
  });
  return contexts.join("\n\n");
}

/** A long text to hide things in: a file (.txt, or .jsonl with a `context` in each line), a folder of .txt files in name order, or the embedded one. */
export async function readHaystack(path?: string): Promise<string> {
  const source = path ?? fileURLToPath(EMBEDDED);
  try {
    if (!(await stat(source)).isDirectory()) return requireText(await readContexts(source), source);
    const files = (await readdir(source)).filter((f) => f.endsWith(".txt")).sort();
    if (files.length === 0) throw new PyramidKVError("BAD_FILE", `${source} holds no .txt files`);
    const texts = await Promise.all(files.map((f) => readText(join(source, f))));
    return requireText(texts.join("\n\n"), source);
  } catch (error) {
    throw cannotRead(source, error);
  }
}

function requireText(text: string, source: string): string {
  if (text.trim() === "") throw new PyramidKVError("BAD_FILE", `${source} holds no text`);
  return text;
}
