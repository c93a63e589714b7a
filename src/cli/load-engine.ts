import { Engine } from "../engine/engine.ts";
import { resolveModel } from "../hub/resolve.ts";
import { requireWeightsFit } from "./fits.ts";
import { progressBar } from "./progress.ts";
import { note } from "./terminal.ts";
import type { ModelFlags } from "./options.ts";

/** The path of the model that the flags name, fetched with a bar. */
export async function fetchModel(flags: ModelFlags, signal?: AbortSignal): Promise<string> {
  const bar = progressBar("download", "bytes");
  try {
    if (flags.force !== true) await requireWeightsFit(flags.model);
    return await resolveModel(flags.model, {
      onProgress: (doneBytes, totalBytes) => bar.update(doneBytes, totalBytes),
      onNote: note,
      signal,
    });
  } finally {
    bar.stop();
  }
}

/** Loads the model that the flags name, with a bar for the download and one for the weights. */
export async function loadEngine(flags: ModelFlags, signal?: AbortSignal): Promise<Engine> {
  const notes: string[] = [];
  const bar = progressBar("load", "bytes");
  try {
    const model = await fetchModel(flags, signal);
    const engine = await Engine.load({
      model,
      ...(flags.kernels === undefined ? {} : { kernels: flags.kernels }),
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      ...(flags.context === undefined ? {} : { context: flags.context }),
      ...(signal === undefined ? {} : { signal }),
      onWarning: (message) => notes.push(`note: ${message}`),
      onProgress: ({ doneBytes, totalBytes }) => bar.update(doneBytes, totalBytes),
    });
    const { name, reason } = engine.kernels;
    if (name === "ggml" && flags.kernels !== "ggml") notes.push(`kernels: using ggml (${reason})`);
    return engine;
  } finally {
    bar.stop();
    for (const text of notes) note(text);
  }
}
