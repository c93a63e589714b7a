import { Engine } from "../engine/engine.ts";
import { Libllama } from "../ggml/libllama.ts";
import { median } from "./statistics.ts";

/** Milliseconds from a path to a model that can answer, ours and libllama's in turn, medians. */
export async function compareLoadTime(
  path: string,
  threads: number,
  repetitions: number,
): Promise<{ oursMs: number; libllamaMs: number; ratio: number }> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i <= repetitions; i++) {
    let started = performance.now();
    const peer = await Libllama.load(path, { threads, nCtx: 512 });
    const peerMs = performance.now() - started;
    peer[Symbol.dispose]();
    started = performance.now();
    const engine = await Engine.load({ model: path, threads });
    const ourMs = performance.now() - started;
    await engine[Symbol.asyncDispose]();
    if (i === 0) continue; // the first round finds cold caches
    ours.push(ourMs);
    theirs.push(peerMs);
  }
  const ratios = ours.map((ms, i) => ms / (theirs[i] ?? NaN));
  return { oursMs: median(ours), libllamaMs: median(theirs), ratio: median(ratios) };
}
