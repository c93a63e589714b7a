import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { appFolder, runCommand, startCommand } from "./installed.ts";
import { ownModel } from "./own-model.ts";
import { LONG, type GenerateResult } from "./results.ts";

const { folder, model } = ownModel();

describe("the installed command", () => {
  const generate = (...args: string[]) =>
    runCommand(["generate", "--model", model, "--threads", "1", ...args]);

  it("generates with the contract's JSON on stdout and nothing else there", () => {
    const run = generate(
      "--prompt",
      LONG,
      "--method",
      "pyramidkv",
      "--kv-size",
      "40",
      "--max-tokens",
      "5",
      "--json",
      "--kept",
    );
    expect(run.status).toBe(0);
    const result = JSON.parse(run.stdout) as GenerateResult;
    expect(result.method).toMatchObject({ name: "pyramidkv", kvSize: 40, alpha: 8, beta: 20 });
    expect(result.kv.meanKept).toBe(40);
    expect(result.kv.bytes).toBe(result.kv.layers.reduce((sum, l) => sum + l.bytes, 0));
    expect(result.kv.peakBytes).toBeGreaterThan(result.kv.bytes);
    for (const layer of result.kv.layers) {
      expect(layer.positions).toHaveLength(2);
      for (const positions of layer.positions ?? []) expect(positions).toHaveLength(layer.kept);
    }
    expect(["stop", "length"]).toContain(result.finishReason);
    expect(Object.keys(result.timings).sort()).toEqual([
      "compressMs",
      "decodeMs",
      "decodeTokensPerSecond",
      "loadMs",
      "prefillMs",
      "prefillTokensPerSecond",
      "timeToFirstTokenMs",
    ]);
    expect(result.model).toMatchObject({ architecture: "llama", layers: 3, heads: 4, kvHeads: 2 });
  });

  it("reads the prompt from stdin or a file, raw or in chat form", () => {
    const count = (run: { stdout: string }) =>
      (JSON.parse(run.stdout) as GenerateResult).promptTokens;
    const args = ["generate", "--model", model, "--max-tokens", "1", "--json"];
    const file = folder.file("prompt.txt", "héllo");
    const fromFile = count(runCommand([...args, "--raw", "--prompt-file", file]));
    expect(count(runCommand([...args, "--raw"], { input: "héllo" }))).toBe(fromFile);
    expect(count(runCommand([...args, "--raw", "--prompt", "héllo"]))).toBe(fromFile);
    expect(count(runCommand([...args, "--prompt", "héllo"]))).toBeGreaterThan(fromFile);
  });

  it("puts a question behind a document, from a file or from stdin", () => {
    const tokens = (args: readonly string[], input = "") => {
      const run = runCommand(["generate", "-m", model, "-n", "1", "--json", ...args], { input });
      expect(run.stderr).toBe("");
      return (JSON.parse(run.stdout) as GenerateResult).promptTokens;
    };
    const both = tokens(["-p", "A document.\n\nA question?"]);
    const file = folder.file("document.txt", "A document.\n");
    expect(tokens(["-f", file, "-p", "A question?"])).toBe(both);
    expect(tokens(["-p", "A question?"], "A document.\n")).toBe(both);
    expect(tokens(["-f", "-", "-p", "A question?"], "A document.\n")).toBe(both);
    expect(tokens(["-f", "-"], "A document.\n")).toBe(tokens(["-f", file]));
  });

  it("says that an answer was cut, and nothing but results and errors where quiet is asked for", () => {
    const args = ["--prompt", "abc", "--max-tokens", "3", "--logit-bias", "2:-1000"];
    expect(generate(...args).stderr).toMatch(/\[cut at 3 tokens; -n sets how many\]\nkept /);
    expect(generate(...args, "--quiet").stderr).toBe("");
    expect(generate("--prompt", "", "-q").stderr).toMatch(/^error: the prompt is empty/);
  });

  it("names options that have no effect", () => {
    const { stderr } = generate(
      "-p",
      LONG,
      "-n",
      "1",
      "--seed",
      "3",
      "--kept",
      "--beta",
      "2",
      "--method",
      "snapkv",
    );
    expect(stderr).toMatch(/note: --beta has no effect on snapkv\n/);
    expect(stderr).toMatch(/note: --seed has no effect at temperature 0\n/);
    expect(stderr).toMatch(/note: --kept has no effect without --json\n/);
    const used = ["--seed", "3", "--temperature", "1", "--kept", "--json"];
    expect(generate("-p", LONG, "-n", "1", ...used).stderr).toBe("");
  });

  it("runs methods of one's own, in wrappers, too", () => {
    const source = `import { METHODS } from "pyramidkv";
      export default [{ ...METHODS.snapkv, name: "mine" }];`;
    writeFileSync(join(appFolder, "mine.mjs"), source);
    const run = (method: string, ...args: string[]) => {
      const { stdout, stderr } = generate(
        "-p",
        LONG,
        "--kv-size",
        "40",
        "-n",
        "9",
        "--json",
        "--kept",
        "--method",
        method,
        ...args,
      );
      expect(stderr).toBe("");
      return JSON.parse(stdout) as GenerateResult;
    };
    const mine = run("every:8(mine)", "--method-file", "mine.mjs");
    expect(mine.method.name).toBe("every:8(mine)");
    expect(mine.kv.layers).toEqual(run("every:8(snapkv)").kv.layers);
    const none = folder.file("none.mjs", "export default { name: 'none' }");
    expect(generate("-p", "a", "--method-file", none).stderr).toMatch(
      /the method none: its score must/,
    );
  });

  it.each(["expected-attention", "every:8(lagkv)", "every:8(leverage)", "every:8(r-kv)"])(
    "ranks by %s in another thread as in its own",
    (method) => {
      const name = method.replace(/^every:8\((.*)\)$/, "$1");
      // A method of one's own is ranked where it was made.
      const source = `import { METHODS } from "pyramidkv";
        export default { ...METHODS["${name}"], name: "same" };`;
      writeFileSync(join(appFolder, "same.mjs"), source);
      const run = (method: string, ...args: string[]) => {
        const always = ["-p", LONG, "--kv-size", "40", "-n", "20", "--json", "--kept"];
        const { stdout, stderr } = generate(...always, "--method", method, ...args);
        expect(stderr).toBe("");
        const { kv, tokens } = JSON.parse(stdout) as GenerateResult;
        return { layers: kv.layers, tokens };
      };
      const own = run(method.replace(name, "same"), "--method-file", "same.mjs");
      expect(run(method)).toEqual(own);
    },
  );

  it("writes the logits at the last prompt token", () => {
    const path = join(folder.path, "logits.f32");
    const run = generate("--prompt", "abc", "--max-tokens", "1", "--logits-out", path, "--json");
    const bytes = readFileSync(path);
    const logits = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    expect(logits).toHaveLength(320);
    const best = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
    expect((JSON.parse(run.stdout) as GenerateResult).tokens).toEqual([best]);
  });

  it("streams text and keeps what came when Ctrl-C stops it", async () => {
    const args = ["generate", "--model", model, "--prompt", "abc", "--max-tokens", "7000"];
    const child = startCommand([...args, "--logit-bias", "2:-1000", "--temperature", "1"]);
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (out === "") child.kill("SIGINT");
      out += chunk.toString();
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(out.length).toBeGreaterThan(0);
  });

  it("uses ggml's operations where it has no kernels, and says so in one line", () => {
    const built = join(appFolder, "node_modules", "pyramidkv", "native", "build");
    renameSync(built, `${built}.away`);
    try {
      const run = generate("--prompt", "hello", "--max-tokens", "2", "--json");
      expect(run.stderr).toBe("kernels: using ggml (they were not built)\n");
      expect(JSON.parse(run.stdout)).toMatchObject({ kernels: { name: "ggml" } });
      const asked = generate("--prompt", "hello", "--max-tokens", "2", "--kernels", "ggml");
      expect(asked.stderr).not.toMatch(/kernels:/);
    } finally {
      renameSync(`${built}.away`, built);
    }
  });

  it("keeps what a list of budgets, a size in bytes or a wrapper says", () => {
    const kept = (...args: string[]) => {
      const run = generate("--prompt", LONG, "--max-tokens", "40", "--json", ...args);
      expect(run.stderr).toBe("");
      return JSON.parse(run.stdout) as GenerateResult;
    };
    const list = folder.file("budgets.json", "[[30, 20], 25, [12, 14]]");
    const listed = kept("--method", "pyramidkv", "--budget-file", list, "--kept");
    const lengths = listed.kv.layers.map((l) => l.positions?.map((p) => p.length));
    expect(lengths).toEqual([[30, 20], [25, 25], [12, 14]]); // prettier-ignore
    // A token of 3 layers and 2 heads of 16 takes 384 bytes.
    expect(kept("--kv-bytes", "12KiB").kv.meanKept).toBe(32);
    const steady = kept("--method", "every:8(snapkv)", "--kv-size", "32");
    expect(steady.kv.endBytes).toBe(steady.kv.bytes);
  });
});
