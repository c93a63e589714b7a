import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

// A file of its own: what fonts there are is read once in a process.
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pyramidkv-fonts-"));
  const none = join(folder, "fonts.conf");
  writeFileSync(none, `<?xml version="1.0"?><fontconfig><dir>${folder}</dir></fontconfig>`);
  process.env.FONTCONFIG_FILE = none;
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

it("pictures are not drawn without their text where the system has no font", async () => {
  const { requireFonts } = await import("./png.ts");
  await expect(requireFonts()).rejects.toThrow(/the system has none; install one/);
});
