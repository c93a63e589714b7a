import { buildGguf } from "../helpers/gguf-writer.ts";
import { tinyModel } from "../helpers/tiny-model.ts";
import { describe, expect, it } from "vitest";
import { runCommand, wholeFolder } from "./installed.ts";
import { ownModel } from "./own-model.ts";
import { REFUSALS } from "./refusals.ts";

const { folder, model } = ownModel();

describe("the installed command", () => {
  const generate = (...args: string[]) =>
    runCommand(["generate", "--model", model, "--threads", "1", ...args]);

  it.each(REFUSALS)(
    "refuses %s in one line, with the right exit code",
    (_, args, status, message) => {
      const withModel = args.includes("--model") ? args : [...args, "--model", model];
      const run = runCommand(args[0] === "generate" ? withModel : args, { app: wholeFolder });
      expect(run.stderr).toMatch(message);
      expect(run.status).toBe(status);
      expect(run.stdout).toBe("");
      expect(run.stderr).not.toMatch(/\n\s+at /);
    },
  );

  it.each([
    ["an empty file", new Uint8Array(0), /the file is empty/],
    ["no GGUF", Buffer.from("hello, this is text"), /not a GGUF file/],
    ["a truncated one", tiny().subarray(0, 5000), /truncated/],
  ])("refuses %s", (_, bytes, message) => {
    const path = folder.file("bad.gguf", bytes);
    const run = runCommand(["generate", "--prompt", "a", "--model", path]);
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(message);
    expect(run.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("refuses a prompt that is not UTF-8", () => {
    const path = folder.file("latin1.txt", Uint8Array.of(0x61, 0xe9, 0x62));
    const run = runCommand(["generate", "--model", model, "--prompt-file", path]);
    expect(run.stderr).toMatch(/is not valid UTF-8/);
    expect(run.status).toBe(1);
  });

  it("refuses kernels that there are not", () => {
    const unknown = generate("--prompt", "a", "--kernels", "sse9");
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toMatch(/sse9.*auto, ggml, avx2/);
    const foreign = generate("--prompt", "a", "--kernels", process.arch === "x64" ? "neon" : "amx");
    expect(foreign.status).toBe(1);
    expect(foreign.stderr).toMatch(/do not run on this CPU; available: ggml/);
  });
});

function tiny(): Uint8Array {
  const { metadata, tensors } = tinyModel({ nLayer: 1 });
  return buildGguf(metadata, tensors);
}
