import type { FetchOptions } from "../hub/download.ts";
import { Interrupt } from "./interrupt.ts";
import { progressBar } from "./progress.ts";

/** Fetches with a progress bar, until Ctrl-C. */
export async function fetching<T>(
  name: string,
  fetch: (options: FetchOptions) => Promise<T>,
): Promise<T> {
  using interrupt = new Interrupt();
  const bar = progressBar(name, "bytes");
  try {
    return await fetch({
      signal: interrupt.signal,
      onProgress: (done, total) => bar.update(done, total),
    });
  } finally {
    bar.stop();
  }
}
