import { Engine } from "../engine/engine.ts";
import { progressBar } from "./io.ts";
import type { ModelFlags } from "./options.ts";

/** Loads the model that the flags name, with a bar for the download and one for the weights. */
export async function loadEngine(flags: ModelFlags, signal?: AbortSignal): Promise<Engine> {
  const bars = { download: progressBar("download", "bytes"), load: progressBar("load", "bytes") };
  try {
    return await Engine.load({
      model: flags.model,
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ phase, doneBytes, totalBytes }) => bars[phase].update(doneBytes, totalBytes),
    });
  } finally {
    bars.download.stop();
    bars.load.stop();
  }
}
