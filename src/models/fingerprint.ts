import { createHash } from "node:crypto";
import type { GgufFile } from "../gguf/file.ts";

/** Long enough that two models do not meet. */
const LENGTH = 16;

/**
 * Names a model by the weights of its last norm, which are f32 in every quantization: so all files of one
 * training share it, and a fine-tune has its own.
 */
export async function fingerprint({ tensors, parts }: GgufFile): Promise<string> {
  // LFM2 calls its last norm otherwise.
  const norm = tensors.get("output_norm.weight") ?? tensors.get("token_embd_norm.weight");
  const hash = createHash("sha256").update(`${tensors.size}`);
  if (norm !== undefined) {
    const bytes = new Uint8Array(norm.bytes);
    await parts[norm.part]?.handle.read(bytes, 0, bytes.length, norm.offset);
    hash.update(norm.type.name).update(bytes);
  }
  return hash.digest("hex").slice(0, LENGTH);
}

/**
 * Names a file's weights with their types: other quantizations of one training have other names. So has a model that
 * rotates otherwise within another context.
 */
export function weightsName(identity: string, { tensors }: GgufFile, nCtx: number): string {
  const table = [...tensors].map(
    ([name, { type, shape }]) => `${name} ${type.name} ${shape.join()}`,
  );
  const hash = createHash("sha256").update(identity).update(table.sort().join("\n"));
  if (tensors.has("rope_factors_long.weight")) hash.update(`${nCtx}`);
  return hash.digest("hex").slice(0, LENGTH);
}
