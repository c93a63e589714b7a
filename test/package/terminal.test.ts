import { spawnSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestFolder } from "../helpers/tiny-model.ts";
import { runCommand, startAtTerminal } from "./installed.ts";

/** How a terminal is made to behave, and put back. */
const MODES = [
  ["\u001b[?25l", "\u001b[?25h"], // without a cursor
  ["\u001b[?2004h", "\u001b[?2004l"], // with pastes in brackets
] as const;

let folder: TestFolder;
let model: string;
let long: string;
beforeAll(() => {
  folder = new TestFolder();
  model = folder.tiny({ vocabulary: true, nCtx: 1 << 20, nLayer: 12 });
  long = folder.file("long.txt", "many words make a long prompt ".repeat(2_000));
});
afterAll(() => folder[Symbol.dispose]());

const isPosix = process.platform !== "win32";
const hasScript = isPosix && spawnSync("script", ["--version"]).status === 0;
if (!hasScript) console.warn("no command `script`: behaviour at a terminal is not tested");

interface Terminal {
  readonly type: (keys: string) => void;
  readonly signal: (name: NodeJS.Signals) => void;
}

/** Runs a command at a terminal; `act` is told all that the terminal got so far, and may type or signal. */
async function atTerminal(
  args: readonly string[],
  act: (shown: string, terminal: Terminal) => void,
): Promise<{ shown: string; code: number | null }> {
  const child = startAtTerminal(args);
  let shown = "";
  const type = (keys: string) => child.stdin.write(keys);
  const signal = (name: NodeJS.Signals) => process.kill(childOf(child.pid as number), name);
  child.stdout.on("data", (chunk: Buffer) => {
    shown += chunk.toString();
    act(shown, { type, signal });
  });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { shown, code };
}

/** The process that `script` started. */
function childOf(pid: number): number {
  const found = readdirSync("/proc").find((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return (
        readFileSync(`/proc/${name}/stat`, "utf8").split(") ")[1]?.split(" ")[1] === String(pid)
      );
    } catch {
      return false; // it ended meanwhile
    }
  });
  return Number(found);
}

function expectRestored(shown: string): void {
  for (const [begun, ended] of MODES) {
    expect(shown.lastIndexOf(ended)).toBeGreaterThanOrEqual(shown.lastIndexOf(begun));
  }
}

describe.skipIf(!hasScript)("a terminal", () => {
  it.each([
    ["SIGTERM", ["SIGTERM"], 143],
    ["SIGHUP", ["SIGHUP"], 129],
    ["two Ctrl-C", ["SIGINT", "SIGINT"], 130],
  ] as const)("is as it was after %s while a prompt is read", async (_, signals, status) => {
    let sent = false;
    const args = ["generate", "--model", model, "-f", long, "--threads", "1"];
    const { shown, code } = await atTerminal(args, (text, { signal }) => {
      if (sent || !text.includes("prefill")) return;
      sent = true;
      for (const name of signals) signal(name);
    });
    expect(shown).toContain(MODES[0][0]);
    expectRestored(shown);
    expect(code).toBe(status);
  });

  it("is as it was after an end and an error", async () => {
    const ended = await atTerminal(
      ["generate", "-m", model, "-p", "a", "-n", "2"],
      () => undefined,
    );
    expect(ended.code).toBe(0);
    expectRestored(ended.shown);
    const failed = await atTerminal(["generate", "-m", long, "-p", "a"], () => undefined);
    expect(failed.code).toBe(1);
    expectRestored(failed.shown);
  });

  it("shows what a model writes, and is not steered by it", async () => {
    // Token 30 of the tiny vocabulary is the byte 27, ESC.
    const args = ["generate", "-m", model, "-p", "a", "-n", "3", "--logit-bias", "30:1000"];
    const { shown } = await atTerminal(args, () => undefined);
    expect(shown).toContain("␛␛␛");
    expect(runCommand(args).stdout).toBe("\u001b\u001b\u001b\n");
  });

  it(
    "chats: lines are pasted, keys wait for the answer, and Ctrl-D ends",
    { timeout: 60_000 },
    async () => {
      const typed: string[] = [];
      const args = ["chat", "-m", model, "-n", "1000", "--logit-bias", "2:-1000"];
      const { shown, code } = await atTerminal(args, (text, { type }) => {
        const once = (when: boolean, keys: string) => {
          if (!when || typed.includes(keys)) return;
          typed.push(keys);
          type(keys);
        };
        once(text.includes("> "), "\u001b[200~one\ntwo\u001b[201~\r");
        // The answer has begun.
        once(/one␊two\r+\n[^]*\S/.test(text), "half\u0003");
        // Ctrl-C takes back what was typed ahead, Ctrl-D leaves.
        once(text.includes("half"), "\u0003\u0004");
      });
      expect(typed.length).toBe(3);
      expect(shown).toContain("one␊two");
      expect(shown).toContain("[stopped");
      expectRestored(shown);
      expect(code).toBe(0);
    },
  );
});

describe("stdout", () => {
  it.skipIf(process.platform !== "linux")("that cannot be written ends in one sentence", () => {
    const full = openSync("/dev/full", "w");
    try {
      const { stderr, status } = runCommand(["methods"], { stdout: full });
      expect(stderr).toBe("error: stdout cannot be written (ENOSPC): the disk is full\n");
      expect(status).toBe(1);
    } finally {
      closeSync(full);
    }
  });
});
