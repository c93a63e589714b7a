import { execFileSync, spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TestFolder } from "../helpers/tiny-model.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The packed package, installed into an empty folder as a user would. */
export class InstalledPackage implements Disposable {
  readonly #folder = new TestFolder();
  readonly path = join(this.#folder.path, "app");

  constructor() {
    const packed = execFileSync(
      "npm",
      ["pack", "--silent", "--pack-destination", this.#folder.path],
      {
        cwd: ROOT,
        encoding: "utf8",
      },
    );
    mkdirSync(this.path);
    writeFileSync(join(this.path, "package.json"), '{ "type": "module", "private": true }');
    const tarball = join(this.#folder.path, packed.trim().split("\n").at(-1) ?? "");
    execFileSync("npm", ["install", "--silent", "--no-audit", "--no-fund", tarball], {
      cwd: this.path,
      stdio: "pipe",
    });
  }

  get command(): string {
    return join(this.path, "node_modules", ".bin", "pyramidkv");
  }

  /** Runs the installed command to its end. */
  run(args: readonly string[], input = ""): SpawnSyncReturns<string> {
    return spawnSync(this.command, args, { cwd: this.path, input, encoding: "utf8" });
  }

  start(args: readonly string[]) {
    return spawn(this.command, args, { cwd: this.path });
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
