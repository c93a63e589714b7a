import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

/** Every example runs to its end on the default model, on the built package. */
const folder = fileURLToPath(new URL("../../examples/", import.meta.url));
const examples = readdirSync(folder).filter((f) => f.endsWith(".mjs"));

describe.each(examples)("examples/%s", (file) => {
  it("runs", async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [`${folder}${file}`]);
    expect(stdout.length).toBeGreaterThan(50);
    expect(stderr).toBe("");
  });
});
