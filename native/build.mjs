// Compiles the kernels with the machine's C compiler: run by `npm install`, quietly, and never a reason for it to fail.
// Without a compiler ggml's own operations are used; native/build/why-not.txt then tells why.
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "build");

const AVX2 = ["-mavx2", "-mfma", "-mf16c"];
const AVX512 = [...AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"];
const BF16 = [...AVX512, "-mavx512bf16"];

/** Source files of each architecture and the instructions that the compiler may use in them. */
const SOURCES = {
  x64: {
    avx2: AVX2,
    avx512: AVX512,
    avx512bf16: BF16,
    amx: [...BF16, "-mamx-tile", "-mamx-bf16"],
    isas: [],
    selftest: [],
  },
  arm64: { neon: [], isas: [], selftest: [] },
};
const FLAGS = ["-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-fno-math-errno"];
const SUFFIX = { darwin: "dylib", win32: "dll" }[process.platform] ?? "so";

async function build() {
  const sources = SOURCES[process.arch];
  if (sources === undefined) throw new Error(`there are no kernels for ${process.arch}`);
  const compiler = process.env.CC ?? "cc";
  const objects = await Promise.all(
    Object.entries(sources).map(async ([name, flags]) => {
      const object = join(out, `${name}.o`);
      const source = join(here, "src", `${name}.c`);
      await run(compiler, [...FLAGS, ...flags, "-c", source, "-o", object]);
      return object;
    }),
  );
  const library = join(out, `pyramidkv-kernels.${SUFFIX}`);
  await run(compiler, ["-shared", "-s", ...objects, "-lm", "-o", library]);
  for (const object of objects) rmSync(object);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
try {
  await build();
} catch (error) {
  const missing = error.code === "ENOENT";
  const why = missing
    ? "no C compiler was found when pyramidkv was installed"
    : `the C compiler failed when pyramidkv was installed: ${String(error.stderr ?? error.message).split("\n")[0]}`;
  writeFileSync(join(out, "why-not.txt"), why);
}
