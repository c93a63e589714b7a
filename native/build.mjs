// Compiles the kernels with the machine's C compiler: run by `npm install`, quietly, and never a reason for it to fail.
// What could not be compiled is told in build/why-not.txt; ggml's own operations are used instead.
//   node native/build.mjs [FOLDER]         the library, to native/build or FOLDER
//   node native/build.mjs --test PROGRAM   the tests in C, which do fail where they do not compile
// CC names the compiler, CFLAGS adds to its flags, npm_config_arch is the architecture that it compiles for.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = dirname(fileURLToPath(import.meta.url));

const AVX2 = ["-mavx2", "-mfma", "-mf16c"];
const AVX512 = [...AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"];
const VNNI = [...AVX512, "-mavx512vnni"];
const BF16 = [...VNNI, "-mavx512bf16"];

/** The variants of each architecture, one file each, and the instructions that the compiler may use in them. */
const VARIANTS = {
  x64: {
    avx2: AVX2,
    avx512: AVX512,
    avx512vnni: VNNI,
    avx512bf16: BF16,
    avx512vnnibf16: BF16,
    amx: [...BF16, "-mamx-tile", "-mamx-bf16"],
  },
  arm64: { neon: [] },
};
const WHY_NOT = "why-not.txt";
const FLAGS = ["-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-fno-math-errno"];
const SUFFIX = { darwin: "dylib", win32: "dll" }[process.platform] ?? "so";

const words = (text) => text.split(/\s+/).filter((word) => word !== "");
const firstError = (error) => {
  const lines = String(error.stderr || error.message)
    .trim()
    .split("\n");
  return lines.find((line) => line.includes("error")) ?? lines[0];
};

const arch = process.env.npm_config_arch ?? process.arch;
const [compiler = "cc", ...compilerFlags] = words(process.env.CC ?? "");
const extra = [...compilerFlags, ...words(process.env.CFLAGS ?? "")];

const [first, program] = process.argv.slice(2);
if (first === "--test") {
  const missing = await build("../test/random", ["-lpthread"], program);
  if (missing.length > 0) throw new Error(missing.join("\n"));
} else {
  await buildLibrary(first ?? join(here, "build"));
}

/** Puts the library into a folder at once, so that another install or a running process sees the old one or the new. */
async function buildLibrary(out) {
  const fresh = `${out}.${process.pid}`;
  try {
    mkdirSync(fresh, { recursive: true });
    mkdirSync(out, { recursive: true });
    writeFileSync(join(fresh, WHY_NOT), await whyNot(fresh));
    const made = readdirSync(fresh);
    for (const name of made) renameSync(join(fresh, name), join(out, name));
    for (const name of readdirSync(out)) if (!made.includes(name)) rmSync(join(out, name));
  } catch {
    // The folder cannot be written to: there are no kernels, and the engine says so.
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Builds the library and tells what is not in it. */
async function whyNot(out) {
  try {
    const library = join(out, `pyramidkv-kernels.${SUFFIX}`);
    return (await build("selftest", ["-shared", "-s"], library)).join("; ");
  } catch (error) {
    return error.code === "ENOENT"
      ? "no C compiler was found when pyramidkv was installed"
      : `the C compiler failed when pyramidkv was installed: ${firstError(error)}`;
  }
}

/**
 * Compiles the variants and one more file, and links them. An older compiler may not know the newest instructions.
 *
 * @returns the variants that were left out, and why
 */
async function build(more, link, output) {
  const variants = Object.entries(VARIANTS[arch] ?? {});
  if (variants.length === 0) throw new Error(`there are no kernels for ${arch}`);
  const folder = mkdtempSync(join(tmpdir(), "pyramidkv-build-"));
  const compile = async (name, flags) => {
    const object = join(folder, `${name.replace(/\W/g, "_")}.o`);
    const source = join(here, "src", `${name}.c`);
    await run(compiler, [...FLAGS, ...flags, ...extra, "-c", source, "-o", object]);
    return object;
  };
  try {
    const results = await Promise.allSettled(variants.map(([name, flags]) => compile(name, flags)));
    const built = variants.filter((_, i) => results[i].status === "fulfilled");
    if (built.length === 0) throw results[0].reason;
    const objects = results.flatMap((r) => (r.status === "fulfilled" ? [r.value] : []));
    const known = built.map(([name]) => `-DPKV_HAS_${name.toUpperCase()}`);
    objects.push(await compile("isas", known), await compile(more, []));
    await run(compiler, [...extra, ...objects, ...link, "-lm", "-o", output]);
    return results.flatMap((r, i) =>
      r.status === "rejected" ? [`${variants[i][0]} was not built: ${firstError(r.reason)}`] : [],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
