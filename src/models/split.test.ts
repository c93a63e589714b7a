import { renameSync, rmSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { buildGguf } from "../../test/helpers/gguf-writer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { openGguf } from "../gguf/file.ts";

async function logitsOf(model: string): Promise<Float32Array> {
  await using engine = await Engine.load({ model, threads: 1 });
  using session = engine.createSession({ method: "full" });
  await session.prefill(randomTokens(40));
  return session.logits;
}

it("a model in parts is the whole one, by any of them", async () => {
  using folder = new TestFolder();
  const options = { vocabulary: true };
  const whole = await logitsOf(folder.tiny(options));
  const parts = folder.tinyParts(3, options);
  for (const part of parts) expect(await logitsOf(part)).toEqual(whole);
  await using file = await openGguf(parts[1] as string);
  expect(file.parts.map(({ path }) => path)).toEqual(parts);
  expect(file.size).toBe(file.parts.reduce((sum, { size }) => sum + size, 0));
});

it("parts that are missing, called otherwise or of other models are refused in one line", async () => {
  using folder = new TestFolder();
  const [first = "", second = "", third = ""] = folder.tinyParts(3);
  const load = (model: string) => Engine.load({ model, threads: 1 });
  const { metadata, tensors } = tinyModel();
  const key = (value: number) => ({ type: "u16", value }) as const;
  const write = (keys: object, from: number) =>
    writeFileSync(third, buildGguf({ ...metadata, ...keys }, tensors.slice(from)));

  write({ "split.no": key(1), "split.count": key(3) }, 30);
  await expect(load(first)).rejects.toThrow("part 3 of 3 says that it is part 2 of 3");
  write({ "split.no": key(2), "split.count": key(3) }, 2);
  await expect(load(second)).rejects.toThrow(/the tensor .* is in two parts/);
  write({ "split.no": key(2), "split.count": key(3) }, tensors.length);
  await expect(load(first)).rejects.toThrow(/the parts hold \d+ tensors, split.tensors.count is/);
  rmSync(third);
  await expect(load(first)).rejects.toThrow(`${third}: no such file`);
  renameSync(first, folder.file("other.gguf", ""));
  await expect(load(`${folder.path}/other.gguf`)).rejects.toThrow(
    "one of 3 parts (split.count), whose names end with -00001-of-00003.gguf",
  );
});
