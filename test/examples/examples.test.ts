import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

/** Every example runs to its end on the default model, on the built package. */
const folder = fileURLToPath(new URL("../../examples/", import.meta.url));
const examples = readdirSync(folder).filter((f) => f.endsWith(".mjs"));

/** What the output must hold, where an answer can be wrong. */
const ANSWERS: Readonly<Record<string, readonly RegExp[]>> = {
  "batch.mjs": [/Tokyo/, /7 days/, /8 legs/],
  "several-turns.mjs": [/\(\d+ tokens seen, \d+ kept per layer\)/],
};

describe.each(examples)("examples/%s", (file) => {
  it("runs", async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [`${folder}${file}`]);
    expect(stdout.length).toBeGreaterThan(50);
    expect(stderr).toBe("");
    for (const answer of ANSWERS[file] ?? []) expect(stdout).toMatch(answer);
  });
});
