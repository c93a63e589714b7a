import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { TestFolder } from "../helpers/tiny-model.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The folder that the package is installed in. */
    readonly installed: string;
    /** The same, with the packages that only some parts need. */
    readonly installedWhole: string;
  }
}

const folder = new TestFolder();

/** Packs the package once, and installs it into empty folders as users would. */
export function setup(project: TestProject): void {
  const pack = ["pack", "--silent", "--pack-destination", folder.path];
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const packed = execFileSync("npm", pack, { cwd: root, encoding: "utf8" });
  const tarball = join(folder.path, packed.trim().split("\n").at(-1) ?? "");
  const { peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly peerDependencies: Readonly<Record<string, string>>;
  };
  const parts = Object.entries(peerDependencies).map(([name, range]) => `${name}@${range}`);
  project.provide("installed", install("app", [tarball]));
  project.provide("installedWhole", install("whole", [tarball, ...parts]));
}

function install(name: string, packages: readonly string[]): string {
  const path = join(folder.path, name);
  mkdirSync(path);
  writeFileSync(join(path, "package.json"), '{ "type": "module", "private": true }');
  const flags = ["--silent", "--no-audit", "--no-fund"];
  execFileSync("npm", ["install", ...flags, ...packages], { cwd: path, stdio: "pipe" });
  return path;
}

export function teardown(): void {
  folder[Symbol.dispose]();
}
