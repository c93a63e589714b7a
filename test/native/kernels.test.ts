import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const exec = promisify(execFile);
/** Random shapes of each operation, and on an emulated CPU. */
const CASES = 1000;
const EMULATED_CASES = 60;
const OPERATIONS = 3;
const folder = mkdtempSync(join(tmpdir(), "pyramidkv-native-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Builds the tests in C, as `native/build.mjs` builds the library. */
async function build(program: string, env: Record<string, string>): Promise<string> {
  const path = join(folder, program);
  await exec(process.execPath, ["native/build.mjs", "--test", path], {
    env: { ...process.env, ...env },
  });
  return path;
}

/**
 * The kernels in C alone, under AddressSanitizer and UndefinedBehaviorSanitizer: random shapes on 1 to 4
 * threads against plain loops. AMX runs in an emulation of its tile instructions, on any machine.
 */
const variants =
  process.arch === "x64"
    ? ["amx", "avx512vnnibf16", "avx512vnni", "avx512bf16", "avx512", "avx2"]
    : ["neon"];

describe("under sanitizers", () => {
  let program: string;
  beforeAll(async () => {
    const flags = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all";
    program = await build("sanitized", { CFLAGS: `${flags} -DPKV_EMULATE_AMX` });
  });

  it.each(variants)(`%s equals plain loops on ${CASES} random shapes`, async (variant) => {
    const cases = String(Math.ceil(CASES / OPERATIONS));
    const { stdout } = await exec(program, [cases, variant]);
    if (stdout.includes("skipped")) return console.warn(`this CPU has no ${variant}: not tested`);
    expect(stdout.match(/largest error/g)).toHaveLength(OPERATIONS);
    return;
  });
});

const CROSS = { compiler: "aarch64-linux-gnu-gcc", emulator: "qemu-aarch64" };
const has = (command: string) => spawnSync(command, ["--version"]).status === 0;

describe.skipIf(process.arch === "arm64" || !Object.values(CROSS).every(has))(
  "neon, emulated",
  () => {
    it(`equals plain loops on ${EMULATED_CASES} random shapes`, async () => {
      const env = { CC: CROSS.compiler, CFLAGS: "-static", npm_config_arch: "arm64" };
      const program = await build("neon", env);
      const cases = String(EMULATED_CASES / OPERATIONS);
      const { stdout } = await exec(CROSS.emulator, [program, cases]);
      expect(stdout.match(/largest error/g)).toHaveLength(OPERATIONS);
    });
  },
);
