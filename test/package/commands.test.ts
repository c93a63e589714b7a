import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Analyzed } from "../../src/analysis/analyzed.ts";
import type { Diagnosis } from "../../src/bench/diagnose.ts";
import { buildGguf } from "../helpers/gguf-writer.ts";
import { tinyModel } from "../helpers/tiny-model.ts";
import { describe, expect, it } from "vitest";
import { runCommand, wholeFolder } from "./installed.ts";
import { ownModel } from "./own-model.ts";
import { LONG, type GenerateResult } from "./results.ts";

const { folder, model } = ownModel();

describe("the installed command", () => {
  const generate = (...args: string[]) =>
    runCommand(["generate", "--model", model, "--threads", "1", ...args]);

  it("built its kernels when it was installed, and tells what runs", () => {
    const run = runCommand(["doctor", "--json", "--threads", "1"]);
    expect(run.status).toBe(0);
    const { kernels, variants, speeds } = JSON.parse(run.stdout) as Diagnosis;
    expect(kernels.reason).toBeUndefined();
    expect(variants.find((v) => v.name === kernels.name)).toMatchObject({ passes: true });
    for (const speed of speeds) expect(speed.ours).toBeGreaterThan(0);
    expect(runCommand(["doctor"]).stdout).toMatch(/variant +runs here +self-test/);
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
    const run = runCommand([name, "--help"]);
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
    const run = runCommand(args, { input: `${lines.join("\n")}\n` });
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(/layer +kept +bytes/);
    expect(run.stderr).toMatch(/snapkv from the next message on/);
    expect(run.stderr).toMatch(/unknown command \/nonsense; known: \/method, \/kv/);
    expect(run.stderr).toMatch(/the cache is empty/);
    const { messages } = JSON.parse(readFileSync(save, "utf8")) as { messages: { role: string }[] };
    expect(messages.map((m) => m.role)).toEqual(["user", "assistant", "user", "assistant"]);
  });

  it("lists methods and wrappers", () => {
    const { methods, wrappers } = JSON.parse(runCommand(["methods", "--json"]).stdout) as {
      methods: { name: string; queryAware: boolean }[];
      wrappers: { name: string }[];
    };
    expect(methods.find((m) => m.name === "snapkv")).toMatchObject({ queryAware: true });
    expect(wrappers.map((w) => w.name)).toContain("every");
    const shown = runCommand(["methods"]).stdout;
    expect(shown).toMatch(/pyramidkv +paper +yes +pyramid/);
    expect(shown).not.toMatch(/^random/m);
    expect(shown).toContain("9 more");
    expect(runCommand(["methods", "--all"]).stdout).toMatch(/^random +research/m);
  });

  it("compares methods, and calibrates one", () => {
    const texts = folder.file("texts.txt", "A sentence of the text that goes on. ".repeat(200));
    const profile = join(folder.path, "profile.json");
    const list = folder.file("budgets-a-64.json", "[[60, 60], [70, 66], [64, 64]]");
    const run = runCommand([
      ...["eval", "quality", "--model", model, "--texts", texts, "--markdown"],
      ...["--methods", "snapkv,funnel", "--kv-sizes", "64", "--documents", "1"],
      ...["--lengths", "800", "--depths", "0.5", "--tokens", "4", "--modes", "agnostic"],
      ...["--budget-files", list],
    ]);
    expect(run.stdout).toMatch(/\| snapkv, budgets-a \| 0\.\d{3} \|/);
    expect(run.stdout).toMatch(/\| snapkv \| 0\.\d{3} \| [01]\.\d\d \| [01]\/1 \|/);
    const calibrated = runCommand([
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
    const args = [
      ...["analyze", text, "--model", model, "--compare", other, "--tokens", "200"],
      ...["--tasks", "needle", "--studies", "funnel,needs", "--kv-sizes", "40,64"],
      ...["--methods", "snapkv,streaming-llm", "--alphas", "1,8", "--follow", "64"],
      ...["--out", out, "--json", "--threads", "1"],
    ];
    // What draws pages is not installed with the package.
    const without = runCommand(args);
    expect([without.status, without.stderr]).toEqual([
      1,
      expect.stringMatching(
        /^error: pages with pictures need \S+, which is not installed; npm install @observablehq\/plot d3-dsv linkedom sharp\n$/,
      ),
    ]);
    const run = runCommand(args, { app: wholeFolder });
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

  it("shows results of several suites on one page", () => {
    const [quality, needle] = ["quality.jsonl", "needle.jsonl"].map((name) =>
      join(folder.path, name),
    );
    const grid = ["--methods", "full,snapkv", "--kv-sizes", "64,128", "--model", model];
    const one = ["--lengths", "800", "--depths", "0.5"];
    runCommand([...["eval", "needle", "--results", needle as string], ...grid, ...one]);
    const args = [
      "eval",
      "quality",
      "--documents",
      "0",
      "--results",
      quality as string,
      ...grid,
      ...one,
    ];
    const first = runCommand(args);
    const again = runCommand(args);
    expect(first.stdout).toMatch(/snapkv +- *|snapkv/);
    expect(again.stdout).toBe(first.stdout);
    const out = join(folder.path, "report");
    const report = ["report", quality as string, needle as string, "--out", out];
    expect(runCommand(report).stderr).toMatch(/pages with pictures need/);
    expect(runCommand(report, { app: wholeFolder }).stderr).toMatch(/results in .*report\.html/);
    const page = readFileSync(join(out, "report.html"), "utf8");
    expect(page).toContain("Needle in a Haystack");
    expect(page).toContain("Nearness to the full cache");
  });

  it("plans", () => {
    const size = ["--method", "pyramidkv", "--kv-size", "64"];
    const run = runCommand(["plan", "--model", model, "--context", "900", ...size, "--json"]);
    const planned = JSON.parse(run.stdout) as { compressed: { kv: { bytes: number } } };
    const long = folder.file("long.txt", LONG);
    const ran = generate("--prompt-file", long, "--raw", ...size, "-n", "1", "--json");
    expect(planned.compressed.kv.bytes).toBe((JSON.parse(ran.stdout) as GenerateResult).kv.bytes);
    const rates = runCommand(["plan", "--longbench", "--json"]);
    expect(JSON.parse(rates.stdout)).toMatchObject({
      kvSizes: [64, 96, 128, 256, 2048],
      datasets: expect.arrayContaining([
        { name: "Lcc", averageLength: 1235, rates: [64, 96, 128, 256, 2048].map((n) => n / 1235) },
      ]) as unknown,
    });
    const large = ["--model", "llama-3-70b", "--context", "8000", "--memory", "8GiB"];
    const fits = runCommand(["plan", ...large]);
    expect(fits.stdout).toMatch(/does not fit +0 +0/);
  });

  it("loads a server, and says what failed", () => {
    const server = ["--url", "http://127.0.0.1:1", "--model", "m", "--requests", "2", "--json"];
    const run = runCommand(["bench", "serve", ...server]);
    expect(run.status).toBe(1);
    expect(JSON.parse(run.stdout)).toMatchObject({
      settings: { model: "m" },
      requests: 2,
      failed: 2,
    });
    expect(runCommand(["bench", "serve", "--url", "localhost:80"]).stderr).toMatch(/is no URL/);
  });

  it("inspects a file", () => {
    const run = runCommand(["models", "inspect", model, "--json"]);
    expect(JSON.parse(run.stdout)).toMatchObject({
      architecture: "llama",
      parameters: { layers: 3, heads: 4, kvHeads: 2, headDim: 16 },
      chatTemplate: true,
    });
  });
});
