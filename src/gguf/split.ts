import { PyramidKVError } from "../errors.ts";
import type { GgufHeader, TensorInfo } from "./parse.ts";

/** How llama-gguf-split names the parts of a model: `…-00002-of-00003.gguf`. */
const PART = /^(?<stem>.*-)(?<part>\d{5})-of-(?<parts>\d{5})\.gguf$/i;
/** libllama's limit is the type of the key, u16; nobody has come near this. */
const MOST_PARTS = 1000;

/** The names of a model's parts, in order, by the name of one of them; that name alone where it is no part. */
export function partNames(name: string): string[] {
  const groups = PART.exec(name)?.groups;
  const n = Number(groups?.parts);
  if (groups === undefined || !(n >= 1 && n <= MOST_PARTS)) return [name];
  const extension = name.slice(-".gguf".length);
  return Array.from({ length: n }, (_, i) => {
    const part = String(i + 1).padStart(5, "0");
    return `${groups.stem}${part}-of-${groups.parts}${extension}`;
  });
}

/** A part's name as that of a whole model; any other name as it is. */
export function wholeName(name: string): string {
  return name.replace(/-\d{5}-of-\d{5}(?=\.gguf$)/i, "");
}

/** Of how many parts a model is, by the header of one. */
export function partCount({ metadata }: GgufHeader): number {
  metadata.requireType("split.count", "u16");
  return Math.max(1, metadata.integer("split.count", 0, MOST_PARTS) ?? 1);
}

/**
 * The header of a model in parts: the first one's metadata, the tensors of all.
 *
 * @throws `BAD_FILE` where the parts do not belong together
 */
export function joinParts(parts: readonly GgufHeader[]): GgufHeader {
  const [first] = parts as [GgufHeader, ...GgufHeader[]];
  const tensors = new Map<string, TensorInfo>();
  parts.forEach((header, part) => {
    const no = header.metadata.integer("split.no", 0, parts.length - 1) ?? 0;
    if (partCount(header) !== parts.length || no !== part) {
      throw new PyramidKVError(
        "BAD_FILE",
        `part ${part + 1} of ${parts.length} says that it is part ${no + 1} of ${partCount(header)}`,
      );
    }
    for (const [name, info] of header.tensors) {
      if (tensors.has(name)) {
        throw new PyramidKVError("BAD_FILE", `the tensor ${name} is in two parts`);
      }
      tensors.set(name, { ...info, part });
    }
  });
  const expected = first.metadata.integer("split.tensors.count", 0, 2 ** 31) ?? tensors.size;
  if (tensors.size !== expected) {
    throw new PyramidKVError(
      "BAD_FILE",
      `the parts hold ${tensors.size} tensors, split.tensors.count is ${expected}`,
    );
  }
  return { metadata: first.metadata, tensors };
}
