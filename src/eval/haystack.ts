import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PyramidKVError } from "../errors.ts";

/** The text that comes with the package: the Declaration of Independence and Article I, public domain. */
const EMBEDDED = new URL("../../assets/founding-documents.txt", import.meta.url);

/** A long text to hide things in: a file, a folder of .txt files in name order, or the embedded one. */
export async function readHaystack(path?: string): Promise<string> {
  const source = path ?? fileURLToPath(EMBEDDED);
  try {
    if (!(await stat(source)).isDirectory()) return await readFile(source, "utf8");
    const files = (await readdir(source)).filter((f) => f.endsWith(".txt")).sort();
    if (files.length === 0) throw new PyramidKVError("BAD_FILE", `${source} holds no .txt files`);
    const texts = await Promise.all(files.map((f) => readFile(join(source, f), "utf8")));
    return texts.join("\n\n");
  } catch (error) {
    if (error instanceof PyramidKVError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new PyramidKVError("BAD_FILE", `${source} cannot be read (${code})`, { cause: error });
  }
}
