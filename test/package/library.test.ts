import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { describe, expect, it } from "vitest";
import { appFolder } from "./installed.ts";
import { ownModel } from "./own-model.ts";

const { model } = ownModel();

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
    writeFileSync(join(appFolder, "app.ts"), source);
    const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
    const types = fileURLToPath(new URL("../../node_modules/@types", import.meta.url));
    const flags =
      "--target ES2022 --lib ES2023,ESNext.Disposable --module NodeNext --strict --types node";
    execFileSync(process.execPath, [tsc, ...flags.split(" "), "--typeRoots", types, "app.ts"], {
      cwd: appFolder,
      stdio: "inherit",
    });
    const run = spawnSync(process.execPath, ["app.js", model], {
      cwd: appFolder,
      encoding: "utf8",
    });
    expect(run.stderr).toBe("");
    const [code, vocabulary, kept, positions, methods] = JSON.parse(run.stdout) as unknown[];
    expect([code, vocabulary, methods]).toEqual(["USAGE", 320, 16]);
    expect(kept).toBe(positions);
  });

  it("is there for CommonJS, and for evaluations", () => {
    const source = `const { Engine, plan } = require("pyramidkv");
      const { runSamples, needleSamples } = require("pyramidkv/eval");
      console.log([Engine.load, plan, runSamples, needleSamples].map((part) => typeof part).join());`;
    writeFileSync(join(appFolder, "app.cjs"), source);
    const run = spawnSync(process.execPath, ["app.cjs"], { cwd: appFolder, encoding: "utf8" });
    expect(run.stdout.trim()).toBe("function,function,function,function");
  });

  it("is small where the engine alone is used", () => {
    const names = readdirSync(join(appFolder, "node_modules"));
    for (const part of ["sharp", "bullmq", "@node-rs", "@observablehq", "d3", "linkedom"]) {
      expect(names).not.toContain(part);
    }
  });

  it("names the packages that a queue needs", () => {
    const run = spawnSync(
      join(appFolder, "node_modules/.bin/pyramidkv"),
      ["eval", "worker", "--queue", "redis://localhost:1"],
      { cwd: appFolder, encoding: "utf8" },
    );
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^error: .*bullmq/);
  });

  it("is packed as publint asks", async () => {
    const { messages } = await publint({
      pkgDir: fileURLToPath(new URL("../../", import.meta.url)),
    });
    expect(messages).toEqual([]);
  });
});
