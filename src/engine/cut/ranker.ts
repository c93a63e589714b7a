import { once } from "node:events";
import { Worker } from "node:worker_threads";
import pLimit from "p-limit";
import { checkRankings } from "../../compression/check.ts";
import type { LayerEvidence } from "../../compression/evidence.ts";
import { rankJob, readsRows, type RankJob } from "../../compression/rank-job.ts";
import type { Ranking } from "../../compression/ranking.ts";
import type { Compression } from "../../compression/resolve.ts";
import { PyramidKVError } from "../../errors.ts";

/** Sources that a test runner reads as they are have no file that a thread could run. */
const SCRIPT = import.meta.url.endsWith(".js")
  ? new URL("./rank-worker.js", import.meta.url)
  : undefined;

/** The worker of this process. It takes one job at a time, as prefills are cut a layer at a time. */
const queue = pLimit(1);
let thread: Worker | undefined;

/**
 * Ranks a layer's tokens. Our own methods that go through keys or values do so in another thread: it takes them up to
 * seconds, for which the event loop would stand still.
 */
export async function rankLayer(
  { method, source, options }: Compression,
  evidence: LayerEvidence,
): Promise<readonly (Ranking | null)[]> {
  const isApart = SCRIPT !== undefined && source !== undefined && readsRows(method);
  const rankings: unknown = isApart
    ? await queue(() => inThread(rankJob(source, method, evidence, options), SCRIPT))
    : method.score(evidence, options);
  checkRankings(method.name, evidence, rankings, true);
  return rankings;
}

async function inThread(job: RankJob, script: URL): Promise<unknown> {
  const worker = (thread ??= new Worker(script));
  const stop = new AbortController();
  const next = (event: string) => once(worker, event, { signal: stop.signal });
  // Only while somebody waits for it does it keep the process alive.
  worker.ref();
  try {
    const message = next("message");
    const exit = next("exit");
    worker.postMessage(job);
    const [value] = (await Promise.race([message, exit])) as [unknown];
    if (!Array.isArray(value)) throw new Error(`it ended with code ${String(value)}`);
    return value;
  } catch (error) {
    thread = undefined;
    void worker.terminate();
    const { message: why } = error as Error;
    throw new PyramidKVError("NATIVE", `the thread that ranks tokens failed: ${why}`);
  } finally {
    stop.abort();
    worker.unref();
  }
}
