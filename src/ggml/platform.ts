import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PyramidKVError } from "../errors.ts";

/** The version of the prebuilt ggml and libllama packages that the struct layouts here were checked on. */
export const NATIVE_VERSION = "3.22.1";

/** Platform (`process.platform-process.arch`) → the npm package that carries its libraries. */
export const PLATFORMS: Readonly<Record<string, string>> = {
  "linux-x64": "@node-llama-cpp/linux-x64",
  "linux-arm64": "@node-llama-cpp/linux-arm64",
  "darwin-arm64": "@node-llama-cpp/mac-arm64-metal",
  "darwin-x64": "@node-llama-cpp/mac-x64",
  "win32-x64": "@node-llama-cpp/win-x64",
  "win32-arm64": "@node-llama-cpp/win-arm64",
};

export interface LibraryPaths {
  /** The folder that ggml searches for its CPU variants, with a trailing separator. */
  readonly folder: string;
  readonly ggmlBase: string;
  readonly ggml: string;
  readonly llama: string;
}

/** Finds the libraries of this platform; throws `UNSUPPORTED` with what is supported or missing. */
export function findLibraries(platform = `${process.platform}-${process.arch}`): LibraryPaths {
  const packageName = PLATFORMS[platform];
  if (packageName === undefined) {
    const supported = Object.keys(PLATFORMS).join(", ");
    throw new PyramidKVError(
      "UNSUPPORTED",
      `no prebuilt ggml for ${platform}; supported: ${supported}`,
    );
  }
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(packageName);
  } catch (cause) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `the package ${packageName} is not installed (Linux needs glibc); run: npm install ${packageName}@${NATIVE_VERSION}`,
      { cause },
    );
  }
  return librariesIn(join(dirname(entry), "..", "bins"));
}

/** The libraries in the one folder below `bins`; their file names carry versions that we do not guess. */
function librariesIn(bins: string): LibraryPaths {
  const folders = existsSync(bins) ? readdirSync(bins) : [];
  const folder = join(bins, folders[0] ?? "");
  const files = existsSync(folder) ? readdirSync(folder) : [];
  const find = (name: string): string => {
    const pattern = new RegExp(`^(lib)?${name}(\\.v[\\d.]+)?\\.(so|dylib|dll)$`);
    const file = files.find((f) => pattern.test(f));
    if (file === undefined) {
      throw new PyramidKVError("UNSUPPORTED", `no ${name} library in ${folder}; reinstall it`);
    }
    return join(folder, file);
  };
  return {
    folder: join(folder, "/"),
    ggmlBase: find("ggml-base"),
    ggml: find("ggml"),
    llama: find("llama"),
  };
}
