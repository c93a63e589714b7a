import { Engine } from "../engine/engine.ts";
import { resolveModel } from "../hub/resolve.ts";
import { requireWeightsFit } from "./fits.ts";
import { note, progressBar } from "./io.ts";
import type { ModelFlags } from "./options.ts";

/** Loads the model that the flags name, with a bar for the download and one for the weights. */
export async function loadEngine(flags: ModelFlags, signal?: AbortSignal): Promise<Engine> {
  let noteAfter: string | undefined;
  const bars = { download: progressBar("download", "bytes"), load: progressBar("load", "bytes") };
  try {
    if (flags.force !== true) await requireWeightsFit(flags.model);
    const model = await resolveModel(flags.model, {
      onProgress: (doneBytes, totalBytes) => bars.download.update(doneBytes, totalBytes),
      signal,
    });
    const engine = await Engine.load({
      model,
      ...(flags.kernels === undefined ? {} : { kernels: flags.kernels }),
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ doneBytes, totalBytes }) => bars.load.update(doneBytes, totalBytes),
    });
    const { name, reason } = engine.kernels;
    if (name === "ggml" && flags.kernels !== "ggml") noteAfter = `kernels: using ggml (${reason})`;
    return engine;
  } finally {
    bars.download.stop();
    bars.load.stop();
    if (noteAfter !== undefined) note(noteAfter);
  }
}
