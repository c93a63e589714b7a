import { afterAll } from "vitest";
import { TestFolder } from "../helpers/tiny-model.ts";

/** A folder for the tests of a file, with a model that can chat in it. */
export function ownModel(): { readonly folder: TestFolder; readonly model: string } {
  const folder = new TestFolder();
  afterAll(() => folder[Symbol.dispose]());
  return { folder, model: folder.tiny({ vocabulary: true, nCtx: 8192 }) };
}
