import { Ajv } from "ajv";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as evaluation from "../../src/eval/index.ts";
import * as library from "../../src/index.ts";
import { runCommand, wholeFolder } from "./installed.ts";
import { ownModel } from "./own-model.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The fenced blocks of a language in a page. */
function blocks(path: string, language: string): string[] {
  return Array.from(read(path).matchAll(/^```(\w+)\n([^]*?)^```$/gm), ([, own, text = ""]) => ({
    own,
    text,
  }))
    .filter(({ own }) => own === language)
    .map(({ text }) => text);
}

const samples = ["README.md", "docs/api.md"].flatMap((path) =>
  blocks(path, "ts").map((source, i) => ({ name: `${path}, sample ${i + 1}`, source })),
);

const { folder, model } = ownModel();

describe.each(samples)("$name", ({ name, source }) => {
  const file = join(wholeFolder, name.replace(/\W+/g, "-"));

  it("runs as plain JavaScript", () => {
    writeFileSync(`${file}.mjs`, source);
    const run = spawnSync(process.execPath, [`${file}.mjs`], {
      cwd: wholeFolder,
      encoding: "utf8",
    });
    expect(run.stderr).not.toMatch(/Error/);
    expect(run.status).toBe(0);
    expect(run.stdout).not.toBe("");
  });

  it("is strict TypeScript", () => {
    writeFileSync(`${file}.ts`, source);
    const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
    const types = join(root, "node_modules", "@types");
    const flags =
      "--noEmit --target ES2022 --lib ES2023,ESNext.Disposable --module NodeNext --strict";
    const all = [...flags.split(" "), "--types", "node", "--typeRoots", types, `${file}.ts`];
    const run = spawnSync(process.execPath, [tsc, ...all], { cwd: wholeFolder, encoding: "utf8" });
    expect(run.stdout).toBe("");
  });
});

describe("the README's commands", () => {
  const lines = blocks("README.md", "sh").flatMap((block) => block.trim().split("\n"));
  const [own, others] = [
    lines.filter((line) => !line.startsWith("npm ")),
    lines.filter((line) => line.startsWith("npm ")).map((line) => line.replace(/ +#.*$/, "")),
  ];

  // In an empty folder, with a model that takes no time.
  it.each(own)("%s", (line) => {
    const cwd = join(folder.path, "empty");
    mkdirSync(cwd, { recursive: true });
    const text = "It was a dark and stormy night, and the rain fell in torrents. ";
    writeFileSync(join(cwd, "book.txt"), text.repeat(60));
    writeFileSync(join(cwd, "notes.txt"), text.repeat(20));
    const path = [
      join(wholeFolder, "node_modules", ".bin"),
      dirname(process.execPath),
      process.env.PATH,
    ];
    const run = spawnSync("sh", ["-c", line], {
      cwd,
      encoding: "utf8",
      input: "hello\n",
      env: { ...process.env, PATH: path.join(delimiter), PYRAMIDKV_MODEL: model },
    });
    expect(run.stderr).not.toMatch(/^error|unknown|invalid/m);
    expect(run.status).toBe(0);
    expect(run.stdout + run.stderr).not.toBe("");
  });

  it("of a clone are those that CI runs, and that there are", () => {
    expect(others).toEqual(["npm ci", "npm link", "npm run demo", "npm test"]);
    expect(read(".ci/run")).toContain("npm ci && npm test");
    const { scripts, bin } = JSON.parse(read("package.json")) as {
      readonly scripts: Readonly<Record<string, string>>;
      readonly bin: Readonly<Record<string, string>>;
    };
    expect(scripts.demo).toBe("node dist/cli/main.js demo");
    expect(bin.pyramidkv).toBe("dist/cli/main.js");
    const demo = runCommand(["demo", "--model", model]);
    expect(demo.stdout).toMatch(/pyramidkv, 1024 kept/);
  });
});

it("every export of the library is on its page", () => {
  const page = read("docs/api.md");
  for (const name of [...Object.keys(library), ...Object.keys(evaluation)])
    expect(page.includes(name), name).toBe(true);
  for (const type of ["Scorer", "EvidenceKind", "BudgetPolicy"]) expect(page).toContain(type);
});

it.each([
  "README.md",
  "CONTRIBUTING.md",
  "docs/api.md",
  "docs/reference.md",
  "docs/evaluation.md",
  "docs/methods.md",
])("the links of %s lead somewhere, in the package, too", (path) => {
  for (const [, link = ""] of read(path).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
    if (/^https?:/.test(link)) continue;
    const target = join(dirname(path), link);
    expect(existsSync(join(root, target)), `${path}: ${link}`).toBe(true);
  }
});

const JSON_COMMANDS = [
  ["generate", "generate -p hello -n 2 --kept"],
  ["plan", "plan --context 500 --kv-size 64"],
  ["methods", "methods"],
  ["models-list", "models list"],
  ["models-inspect", "models inspect"],
  ["doctor", "doctor -t 1"],
  ["eval", "eval needle --methods full,snapkv --kv-sizes 64 --lengths 600 --depths 0.5"],
  [
    "eval-quality",
    "eval quality --methods snapkv --kv-sizes 64 --documents 0 --lengths 600 --depths 0.5",
  ],
] as const;

it.each(JSON_COMMANDS)("the schema %s fits what its command prints", (name, line) => {
  const words = [...line.split(" "), ...(name === "models-inspect" ? [model] : []), "--json"];
  const run = runCommand(words, { env: { PYRAMIDKV_MODEL: model } });
  expect(run.status).toBe(0);
  const ajv = new Ajv({ allErrors: true, strict: false });
  const fits = ajv.compile(JSON.parse(read(`docs/schemas/${name}.json`)) as object);
  fits(JSON.parse(run.stdout));
  expect(fits.errors ?? []).toEqual([]);
});

it("the environment's variables are those that the code reads", () => {
  const source = execFileSync(
    "grep",
    [
      "-rhoE",
      '(environmentVariable\\("|process\\.env\\.)[A-Z_]+',
      "src",
      "--include=*.ts",
      "--exclude=*.test.ts",
    ],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  const names = new Set(Array.from(source.matchAll(/[A-Z][A-Z_]+$/gm), ([name]) => name));
  const page = read("docs/reference.md");
  for (const name of names) expect(page.includes(name), name).toBe(true);
});
