import { PyramidKVError } from "./errors.ts";

/** Packages that only some parts need, by part: who uses the engine alone does not install them. */
const PARTS = {
  pages: {
    what: "pages with pictures",
    packages: ["@observablehq/plot", "d3-dsv", "linkedom", "sharp"],
  },
  chinese: { what: "scores of Chinese answers", packages: ["@node-rs/jieba"] },
  queue: { what: "queues of samples", packages: ["bullmq", "ioredis"] },
} as const;

/**
 * Loads a part that has packages of its own.
 *
 * @throws `UNSUPPORTED` where these are not installed, with the command that does it
 */
export async function loadPart<T>(part: keyof typeof PARTS, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw missingPart(part, error);
  }
}

/** The same error in words where it says that a package of the part is missing. */
export function missingPart(part: keyof typeof PARTS, error: unknown): unknown {
  const { what, packages } = PARTS[part];
  const { code, message = "" } = (error ?? {}) as NodeJS.ErrnoException;
  const isMissing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
  const name = packages.find((candidate) => message.includes(`'${candidate}`));
  if (!isMissing || name === undefined) return error;
  return new PyramidKVError(
    "UNSUPPORTED",
    `${what} need ${name}, which is not installed; npm install ${packages.join(" ")}`,
    { cause: error },
  );
}
