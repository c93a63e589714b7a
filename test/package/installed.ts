import { spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { inject } from "vitest";

/** The folder that the package is installed in. */
export const appFolder: string = inject("installed");

/** The same, with the packages that only some parts need. */
export const wholeFolder: string = inject("installedWhole");

const commandIn = (folder: string) => join(folder, "node_modules", ".bin", "pyramidkv");

/** The command is run by the Node that runs the tests. */
const env = { ...process.env, PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) };

export interface RunOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** A file to write results to. */
  readonly stdout?: number;
  /** Where the package is that is run. */
  readonly app?: string;
}

/** Runs the installed command to its end. */
export function runCommand(
  args: readonly string[],
  { input = "", app = appFolder, cwd = app, ...o }: RunOptions = {},
): SpawnSyncReturns<string> {
  const stdio = ["pipe" as const, o.stdout ?? ("pipe" as const), "pipe" as const];
  const settings = { cwd, input, encoding: "utf8" as const, env: { ...env, ...o.env }, stdio };
  return spawnSync(commandIn(app), args, settings);
}

export function startCommand(args: readonly string[]) {
  return spawn(commandIn(appFolder), args, { cwd: appFolder, env });
}

/** Runs the installed command at a terminal of its own; what the terminal got is given to `onOutput` as it comes. */
export function startAtTerminal(args: readonly string[]) {
  const line = [commandIn(appFolder), ...args]
    .map((arg) => `'${arg.replaceAll("'", "'\\''")}'`)
    .join(" ");
  // `exec`: signals reach the command itself.
  return spawn("script", ["-qefc", `exec ${line}`, "/dev/null"], {
    cwd: appFolder,
    env: { ...env, TERM: "xterm-256color", NO_COLOR: "1" },
  });
}
