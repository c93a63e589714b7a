// Builds dist/ from src/: removes what is stale, compiles, and marks the command as executable.
import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { stdio: "inherit" });
chmodSync("dist/cli/main.js", 0o755);

// The compiler has left names of sources in imports: such a file runs here, and nowhere else.
for (const name of readdirSync("dist", { recursive: true })) {
  if (!name.endsWith(".js")) continue;
  const [left] =
    /(?:from |import\()"\.[^"]*\.ts"/.exec(readFileSync(join("dist", name), "utf8")) ?? [];
  if (left !== undefined) throw new Error(`dist/${name} imports a source: ${left}`);
}
