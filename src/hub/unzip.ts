import { createWriteStream } from "node:fs";
import { rm, truncate } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { openPromise } from "yauzl";
import { PyramidKVError } from "../errors.ts";
import { cannotWrite } from "../files.ts";
import { reasonOf, sizeOf } from "./download.ts";

/** Takes one file out of an archive, behind what `into` holds where it is to be appended; nothing of it stays where it cannot be unpacked. Throws `BAD_FILE`. */
export async function extract(
  archive: string,
  entryName: string,
  into: string,
  { append = false }: { append?: boolean } = {},
): Promise<void> {
  const before = append ? await sizeOf(into) : 0;
  try {
    const zip = await openPromise(archive);
    try {
      for await (const entry of zip.eachEntry()) {
        if (entry.fileName !== entryName) continue;
        await pipeline(
          await zip.openReadStreamPromise(entry),
          createWriteStream(into, { flags: append ? "a" : "w" }),
        );
        return;
      }
    } finally {
      zip.close();
    }
  } catch (error) {
    if (before > 0) await truncate(into, before);
    else await rm(into, { force: true });
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code !== undefined && (syscall === "write" || syscall === "open")) {
      throw cannotWrite(into, error);
    }
    const message = `${archive} cannot be unpacked: ${reasonOf(error)}`;
    throw new PyramidKVError("BAD_FILE", message, { cause: error });
  }
  throw new PyramidKVError("BAD_FILE", `${archive} has no ${entryName}`);
}
