import { koffi, type Pointer } from "./ffi.ts";
import {
  bindGgml,
  bindLlama,
  bindRegistry,
  type GgmlFunctions,
  type LlamaFunctions,
  type RegistryFunctions,
} from "./functions.ts";
import { findLibraries } from "./platform.ts";
import { declareStructs } from "./structs.ts";

export interface Native {
  readonly ggml: GgmlFunctions;
  readonly registry: RegistryFunctions;
  readonly llama: LlamaFunctions;
}

let loaded: Native | undefined;

/** Loads ggml and libllama once a process; ggml itself picks the variant that fits this CPU. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  const paths = findLibraries();
  declareStructs();
  const open = (path: string) => koffi.load(path, { global: true });
  const ggmlBase = open(paths.ggmlBase);
  const ggml = bindGgml(ggmlBase);
  const registry = bindRegistry(open(paths.ggml));
  const llama = bindLlama(open(paths.llama));
  // Both libraries log to stderr from any thread. A JavaScript callback there would have to cross
  // threads, so the log goes to a native function that ignores its arguments: our errors are our own.
  llama.logSet(ggmlBase.symbol("ggml_time_ms", "void*") as Pointer, null);
  registry.loadAllFrom(paths.folder);
  return { ggml, registry, llama };
}
