import { expect, it } from "vitest";
import { TYPES } from "../ggml/types.ts";
import { publishedShape } from "../plan/model-shape.ts";
import { machineMemory, requireFits } from "./fits.ts";

const GIB = 2 ** 30;
const model = publishedShape("llama-3-8b", TYPES.q4_K);

it("lets pass what fits, and refuses what does not with what would", async () => {
  const options = { model, context: 100_000, method: "full" };
  await requireFits(options, 64 * GIB);
  await requireFits({ ...options, method: "snapkv", kvSize: 128 }, 12 * GIB);
  const refused = requireFits(options, 12 * GIB);
  await expect(refused).rejects.toMatchObject({ code: "NO_MEMORY" });
  await expect(refused).rejects.toThrow(
    /full needs about 1\d\.\d GB for 100000 tokens, this machine has 12\.9 GB; prompts of up to \d+ tokens fit, or keep less/,
  );
  await expect(requireFits(options, 4 * GIB)).rejects.toThrow(/smaller model or smaller weights/);
});

it("knows this machine's memory", () => {
  expect(machineMemory()).toBeGreaterThan(GIB / 4);
  expect(machineMemory()).toBeLessThan(2 ** 50);
});
