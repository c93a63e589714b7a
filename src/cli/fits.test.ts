import { expect, it } from "vitest";
import { TestFolder } from "../../test/helpers/tiny-model.ts";
import { TYPES } from "../ggml/types.ts";
import { publishedShape } from "../plan/model-shape.ts";
import { machineMemory, requireFits, requireWeightsFit } from "./fits.ts";

const GIB = 2 ** 30;
const model = publishedShape("llama-3-8b", TYPES.q4_K);

it("lets pass what fits or may, and refuses what does not with what would", async () => {
  const options = { model, context: 100_000, method: "full" };
  await requireFits(options, 64 * GIB);
  await requireFits({ ...options, method: "snapkv", kvSize: 128 }, 10 * GIB);
  await requireFits({ ...options, method: "coverage(snapkv)" }, 10 * GIB);
  const refused = requireFits(options, 10 * GIB);
  await expect(refused).rejects.toMatchObject({ code: "NO_MEMORY" });
  await expect(refused).rejects.toThrow(
    /full needs about 1\d\.\d GB for 100000 tokens, this machine has 10\.7 GB; prompts of up to \d+ tokens fit, --method pyramidkv --kv-size 128 fits, --force/,
  );
  await expect(requireFits(options, 4 * GIB)).rejects.toThrow(/4\.29 GB; --force tries it/);
});

it("refuses weights by the header, and leaves other faults to the loader", async () => {
  using folder = new TestFolder();
  const path = folder.tiny({ nLayer: 2 });
  await requireWeightsFit(path);
  await expect(requireWeightsFit(path, 1000)).rejects.toThrow(/the weights of .* take .* kB, this/);
  await requireWeightsFit("/no/such.gguf", 1000);
  await requireWeightsFit("smollm2-135m", 1000);
});

it("knows this machine's memory", () => {
  expect(machineMemory()).toBeGreaterThan(GIB / 4);
  expect(machineMemory()).toBeLessThan(2 ** 50);
});
