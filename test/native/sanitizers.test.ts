import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/**
 * The kernels in C alone, under AddressSanitizer and UndefinedBehaviorSanitizer: random shapes on 1 to 4
 * threads against plain loops. AMX runs in an emulation of its tile instructions, on any machine.
 */
const CASES = 1000;
const OPERATIONS = 3;
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "pyramidkv-native-"));
const program = join(folder, "random");

beforeAll(async () => {
  const flags = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -DPKV_EMULATE_AMX";
  await run(process.execPath, ["native/build.mjs", "--test", program], {
    env: { ...process.env, CFLAGS: flags },
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

const variants = process.arch === "x64" ? ["amx", "avx512bf16", "avx512", "avx2"] : ["neon"];

describe.each(variants)("%s", (variant) => {
  it(`equals plain loops on ${CASES} random shapes, with no error of memory or arithmetic`, async (context) => {
    const cases = Math.ceil(CASES / OPERATIONS);
    const { stdout } = await run(program, [String(cases), variant]);
    if (stdout.includes("skipped")) context.skip(`this CPU has no ${variant}`);
    expect(stdout.match(/largest error/g)).toHaveLength(OPERATIONS);
  });
});
