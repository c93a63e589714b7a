import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analyzed } from "../../src/analysis/analyzed.ts";
import type { Diagnosis } from "../../src/bench/diagnose.ts";
import { buildGguf } from "../helpers/gguf-writer.ts";
import { TestFolder, tinyModel } from "../helpers/tiny-model.ts";
import { InstalledPackage } from "./installed.ts";
import { REFUSALS } from "./refusals.ts";

let installed: InstalledPackage;
let folder: TestFolder;
let model: string;
beforeAll(() => {
  installed = new InstalledPackage();
  folder = new TestFolder();
  model = folder.tiny({ vocabulary: true, nCtx: 8192 });
});
afterAll(() => {
  installed[Symbol.dispose]();
  folder[Symbol.dispose]();
});

interface GenerateResult {
  text: string;
  tokens: number[];
  promptTokens: number;
  finishReason: string;
  method: { name: string; kvSize: number | null };
  kv: {
    fullBytes: number;
    bytes: number;
    endBytes: number;
    peakBytes: number;
    meanKept: number;
    layers: {
      layer: number;
      kept: number;
      capacity: number;
      bytes: number;
      positions?: number[][];
    }[];
  };
  timings: Record<string, number>;
  model: Record<string, unknown>;
}

const LONG = "many words make a long prompt ".repeat(20);

describe("the installed command", () => {
  const generate = (...args: string[]) =>
    installed.run(["generate", "--model", model, "--threads", "1", ...args]);

  it("generates with the contract's JSON on stdout and nothing else there", () => {
    const run = generate(
      "--prompt",
      LONG,
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
    const fromFile = count(installed.run([...args, "--raw", "--prompt-file", file]));
    expect(count(installed.run([...args, "--raw"], "héllo"))).toBe(fromFile);
    expect(count(installed.run([...args, "--raw", "--prompt", "héllo"]))).toBe(fromFile);
    expect(count(installed.run([...args, "--prompt", "héllo"]))).toBeGreaterThan(fromFile);
  });

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
    const child = installed.start([...args, "--logit-bias", "2:-1000", "--temperature", "1"]);
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (out === "") child.kill("SIGINT");
      out += chunk.toString();
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(out.length).toBeGreaterThan(0);
  });

  it.each(REFUSALS)(
    "refuses %s in one line, with the right exit code",
    (_, args, status, message) => {
      const withModel = args.includes("--model") ? args : [...args, "--model", model];
      const run = installed.run(args[0] === "generate" ? withModel : args);
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
    const run = installed.run(["generate", "--prompt", "a", "--model", path]);
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(message);
    expect(run.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("refuses a prompt that is not UTF-8", () => {
    const path = folder.file("latin1.txt", Uint8Array.of(0x61, 0xe9, 0x62));
    const run = installed.run(["generate", "--model", model, "--prompt-file", path]);
    expect(run.stderr).toMatch(/is not valid UTF-8/);
    expect(run.status).toBe(1);
  });

  it("built its kernels when it was installed, and tells what runs", () => {
    const run = installed.run(["doctor", "--json", "--threads", "1"]);
    expect(run.status).toBe(0);
    const { kernels, variants, speeds } = JSON.parse(run.stdout) as Diagnosis;
    expect(kernels.reason).toBeUndefined();
    expect(variants.find((v) => v.name === kernels.name)).toMatchObject({ passes: true });
    for (const speed of speeds) expect(speed.ours).toBeGreaterThan(0);
    expect(installed.run(["doctor"]).stdout).toMatch(/variant +runs here +self-test/);
  });

  it("uses ggml's operations where it has no kernels, and says so in one line", () => {
    const built = join(installed.path, "node_modules", "pyramidkv", "native", "build");
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

  it("refuses kernels that there are not", () => {
    const unknown = generate("--prompt", "a", "--kernels", "sse9");
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toMatch(/sse9.*auto, ggml, avx2/);
    const foreign = generate("--prompt", "a", "--kernels", process.arch === "x64" ? "neon" : "amx");
    expect(foreign.status).toBe(1);
    expect(foreign.stderr).toMatch(/do not run on this CPU; available: ggml/);
  });

  it.each([
    "generate",
    "chat",
    "methods",
    "models",
    "demo",
    "plan",
    "bench",
    "eval",
    "calibrate",
    "doctor",
  ])("explains %s", (name) => {
    const run = installed.run([name, "--help"]);
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/Usage: pyramidkv/);
  });

  it("chats over several turns and obeys its commands", () => {
    const save = join(folder.path, "chat.json");
    const lines = [
      "hello",
      "/kv",
      "/method snapkv 20",
      "again",
      "/stats",
      "/nonsense",
      `/save ${save}`,
      "/reset",
      "/kv",
      "/quit",
    ];
    const args = ["chat", "--model", model, "--max-tokens", "8", "--logit-bias", "2:-1000"];
    const run = installed.run(args, `${lines.join("\n")}\n`);
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(/layer +kept +bytes/);
    expect(run.stderr).toMatch(/snapkv from the next message on/);
    expect(run.stderr).toMatch(/unknown command \/nonsense; known: \/method, \/kv/);
    expect(run.stderr).toMatch(/the cache is empty/);
    const { messages } = JSON.parse(readFileSync(save, "utf8")) as { messages: { role: string }[] };
    expect(messages.map((m) => m.role)).toEqual(["user", "assistant", "user", "assistant"]);
  });

  it("lists methods and wrappers", () => {
    const { methods, wrappers } = JSON.parse(installed.run(["methods", "--json"]).stdout) as {
      methods: { name: string; queryAware: boolean }[];
      wrappers: { name: string }[];
    };
    expect(methods.find((m) => m.name === "snapkv")).toMatchObject({ queryAware: true });
    expect(wrappers.map((w) => w.name)).toContain("every");
    expect(installed.run(["methods"]).stdout).toMatch(/pyramidkv +yes +pyramid/);
  });

  it("keeps what a list of budgets, a size in bytes or a wrapper says", () => {
    const kept = (...args: string[]) => {
      const run = generate("--prompt", LONG, "--max-tokens", "40", "--json", ...args);
      expect(run.stderr).toBe("");
      return JSON.parse(run.stdout) as GenerateResult;
    };
    const list = folder.file("budgets.json", "[[30, 20], 25, [12, 14]]");
    const listed = kept("--budget-file", list, "--kept");
    const lengths = listed.kv.layers.map((l) => l.positions?.map((p) => p.length));
    expect(lengths).toEqual([[30, 20], [25, 25], [12, 14]]); // prettier-ignore
    // A token of 3 layers and 2 heads of 16 takes 384 bytes.
    expect(kept("--kv-bytes", "12KiB").kv.meanKept).toBe(32);
    const steady = kept("--method", "every:8(snapkv)", "--kv-size", "32");
    expect(steady.kv.endBytes).toBe(steady.kv.bytes);
  });

  it("compares methods, and calibrates one", () => {
    const texts = folder.file("texts.txt", "A sentence of the text that goes on. ".repeat(200));
    const profile = join(folder.path, "profile.json");
    const list = folder.file("budgets-a-64.json", "[[60, 60], [70, 66], [64, 64]]");
    const run = installed.run([
      ...["eval", "quality", "--model", model, "--texts", texts, "--markdown"],
      ...["--methods", "snapkv,funnel", "--kv-sizes", "64", "--documents", "1"],
      ...["--lengths", "800", "--depths", "0.5", "--tokens", "4", "--modes", "agnostic"],
      ...["--budget-files", list],
    ]);
    expect(run.stdout).toMatch(/\| snapkv, budgets-a \| 0\.\d{3} \|/);
    expect(run.stdout).toMatch(/\| snapkv \| 0\.\d{3} \| [01]\.\d\d \| [01]\/1 \|/);
    const calibrated = installed.run([
      ...["calibrate", "--model", model, "--texts", texts, "--output", profile],
      ...["--documents", "1", "--needles", "1"],
    ]);
    expect(calibrated.stderr).toMatch(/the profile is in/);
    const used = generate("--prompt", LONG, "--method", "funnel", "--profile", profile, "--json");
    const { method } = JSON.parse(used.stdout) as { method: { profile?: string } };
    expect(method.profile).toMatch(/^[0-9a-f]{16}$/);
  });

  it("analyzes texts and tasks with several models, and writes what budgets read", () => {
    const text = folder.file("essay.txt", "A sentence of the text that goes on. ".repeat(200));
    const { metadata, tensors } = tinyModel({ vocabulary: true, nLayer: 2, nCtx: 8192 });
    const other = folder.file("other.gguf", buildGguf(metadata, tensors));
    const out = join(folder.path, "analysis");
    const run = installed.run([
      ...["analyze", text, "--model", model, "--compare", other, "--tokens", "200"],
      ...["--tasks", "needle", "--studies", "funnel,needs", "--kv-sizes", "40,64"],
      ...["--methods", "snapkv,streaming-llm", "--alphas", "1,8", "--follow", "64"],
      ...["--out", out, "--json", "--threads", "1"],
    ]);
    expect(run.stderr).toMatch(/analysis\.html/);
    const { analyses: all } = JSON.parse(run.stdout) as { analyses: Analyzed[] };
    expect(all.map((one) => `${one.model} ${one.text}`)).toEqual(
      [model, other]
        .map((path) => basename(path))
        .flatMap((name) => [`${name} essay.txt`, `${name} needle`]),
    );
    expect(all[0]).toMatchObject({ found: { n: 200 }, fitted: [{ kvSize: 40 }, { kvSize: 64 }] });
    expect(all[0]?.found.locality).toBeUndefined();
    expect(all[0]?.retention?.ways).toHaveLength(2 * 2 + 2);
    expect(readFileSync(join(out, "analysis.html"), "utf8")).toContain("needle: the funnel");
    expect(readFileSync(join(out, "analysis.csv"), "utf8")).toMatch(/^model,text,statistic,layer,/);
    const lists = readdirSync(out).filter((name) => name.startsWith("budgets-"));
    expect(lists).toHaveLength(2 * 2 * 2);
    const list = join(out, lists.find((name) => /tiny.*essay\.txt-40/.test(name)) ?? "");
    const used = generate(
      "--prompt",
      LONG,
      "--method",
      "snapkv",
      "--budget-file",
      list,
      "--kept",
      "--json",
    );
    const { kv } = JSON.parse(used.stdout) as GenerateResult;
    const kept = kv.layers.map(({ positions }) => positions?.map((own) => own.length));
    expect(kept).toEqual(all[0]?.fitted[0]?.budgets);
  });

  it("plans", () => {
    const run = installed.run([
      "plan",
      "--model",
      model,
      "--context",
      "900",
      "--kv-size",
      "64",
      "--json",
    ]);
    const planned = JSON.parse(run.stdout) as { compressed: { kv: { bytes: number } } };
    const long = folder.file("long.txt", LONG);
    const ran = generate("--prompt-file", long, "--raw", "--kv-size", "64", "-n", "1", "--json");
    expect(planned.compressed.kv.bytes).toBe((JSON.parse(ran.stdout) as GenerateResult).kv.bytes);
    const rates = installed.run(["plan", "--longbench", "--json"]);
    expect(JSON.parse(rates.stdout)).toMatchObject({
      kvSizes: [64, 96, 128, 256, 2048],
      datasets: expect.arrayContaining([
        { name: "Lcc", averageLength: 1235, rates: [64, 96, 128, 256, 2048].map((n) => n / 1235) },
      ]) as unknown,
    });
    const large = ["--model", "llama-3-70b", "--context", "8000", "--memory", "8GiB"];
    const fits = installed.run(["plan", ...large]);
    expect(fits.stdout).toMatch(/does not fit +0 +0/);
  });

  it("loads a server, and says what failed", () => {
    const server = ["--url", "http://127.0.0.1:1", "--model", "m", "--requests", "2", "--json"];
    const run = installed.run(["bench", "serve", ...server]);
    expect(run.status).toBe(1);
    expect(JSON.parse(run.stdout)).toMatchObject({
      settings: { model: "m" },
      requests: 2,
      failed: 2,
    });
    expect(installed.run(["bench", "serve", "--url", "localhost:80"]).stderr).toMatch(/is no URL/);
  });

  it("inspects a file", () => {
    const run = installed.run(["models", "inspect", model, "--json"]);
    expect(JSON.parse(run.stdout)).toMatchObject({
      architecture: "llama",
      parameters: { layers: 3, heads: 4, kvHeads: 2, headDim: 16 },
      chatTemplate: true,
    });
  });
});

describe("the installed library", () => {
  it("is imported with its types", () => {
    const source = `
      import { Engine, METHODS, PyramidKVError, type MethodName } from "pyramidkv";
      const method: MethodName = "pyramidkv";
      await using engine = await Engine.load({ model: process.argv[2] ?? "", threads: 1 });
      using session = engine.createSession({ method, kvSize: 32 });
      await session.prefill(engine.tokenizer.encode("hello ".repeat(40)));
      const logits: Float32Array = session.logits;
      const kept: number | undefined = session.cache.layers[0]?.kept;
      const positions: Int32Array | undefined = session.cache.layers[0]?.positions(0);
      let text = "";
      for await (const piece of session.generate({ maxTokens: 4, temperature: 0 })) text += piece.text;
      try { engine.createSession({ kvSize: 0 }); } catch (error) {
        if (!(error instanceof PyramidKVError)) throw error;
        console.log(JSON.stringify([error.code, logits.length, kept, positions?.length, Object.keys(METHODS).length]));
      }
    `;
    writeFileSync(join(installed.path, "app.ts"), source);
    const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
    const types = fileURLToPath(new URL("../../node_modules/@types", import.meta.url));
    const flags =
      "--target ES2022 --lib ES2023,ESNext.Disposable --module NodeNext --strict --types node";
    execFileSync(process.execPath, [tsc, ...flags.split(" "), "--typeRoots", types, "app.ts"], {
      cwd: installed.path,
      stdio: "inherit",
    });
    const run = spawnSync(process.execPath, ["app.js", model], {
      cwd: installed.path,
      encoding: "utf8",
    });
    expect(run.stderr).toBe("");
    const [code, vocabulary, kept, positions, methods] = JSON.parse(run.stdout) as unknown[];
    expect([code, vocabulary, methods]).toEqual(["USAGE", 320, 16]);
    expect(kept).toBe(positions);
  });

  it("is packed as publint asks", async () => {
    const { messages } = await publint({
      pkgDir: fileURLToPath(new URL("../../", import.meta.url)),
    });
    expect(messages).toEqual([]);
  });
});

function tiny(): Uint8Array {
  const { metadata, tensors } = tinyModel({ nLayer: 1 });
  return buildGguf(metadata, tensors);
}
