import { setTimeout as delay } from "node:timers/promises";
import { Queue, QueueEvents, type Job } from "bullmq";
import type { Engine } from "../../engine/engine.ts";
import { PyramidKVError, throwIfAborted } from "../../errors.ts";
import { ResultFile } from "../run/result-file.ts";
import type { ResultRow } from "../run/result-row.ts";
import { cellsOf, leavingOut, missingWays, sampleCell, type RunOptions } from "../run/run.ts";
import { asJob, connect, jobId, queueName, type CellJob, type CellResult } from "./cell-queue.ts";

export interface DistributeOptions extends RunOptions {
  /** `redis://…` */
  readonly queue: string;
}

/** Times that a cell is tried which throws; cells of workers that died are given out again without limit. */
const ATTEMPTS = 2;
/** How long the ends of connections are waited for. */
const CLOSE_MS = 2000;

/**
 * Puts what is not there yet into a queue, for `pyramidkv eval worker` processes on any number of machines, and adds
 * their answers to the results as they come. Started again after a stop, it finds what was answered in the meantime.
 *
 * @throws `ABORTED`, `NETWORK`; after the rest is done, `USAGE` with the reason if cells failed
 */
export async function distributeSamples(
  engine: Engine,
  o: DistributeOptions,
): Promise<readonly ResultRow[]> {
  const results = o.results ?? (await ResultFile.open());
  const connection = await connect(o.queue);
  const name = queueName(engine.weights);
  const queue = new Queue<CellJob, CellResult>(name, { connection });
  const listening = connection.duplicate();
  const events = new QueueEvents(name, { connection: listening });
  // A lost connection is tried again, and said once.
  let isLost = false;
  const onError = ({ message }: Error) => {
    if (!isLost) o.onProblem?.(`the queue is out of reach: ${message}; trying again`);
    isLost = true;
  };
  queue.on("error", onError);
  events.on("error", onError);
  listening.on("error", onError);
  const waiting = new Waiting(o.signal);
  events.on("completed", ({ jobId }) => {
    waiting.end(jobId);
  });
  events.on("failed", ({ jobId }) => {
    waiting.end(jobId);
  });
  try {
    await events.waitUntilReady();
    const cells = cellsOf(o);
    let done = 0;
    const failures: string[] = [];
    const collect = async (id: string) => {
      await waiting.until(id);
      isLost = false;
      const job = (await queue.getJob(id)) as Job<CellJob, CellResult> | undefined;
      // Another process that asks for the same has collected it.
      if (job === undefined)
        throw new PyramidKVError("USAGE", "another process took an answer away");
      if (await job.isCompleted()) await results.append(job.returnvalue);
      else failures.push(job.failedReason);
      // Only what is in the file, or was said, leaves the queue.
      await job.remove();
      o.onCell?.(++done, cells.length);
    };
    const collected: Promise<void>[] = [];
    for (const { sample, mode } of cells) {
      throwIfAborted(o.signal);
      await leavingOut(o, sample, async () => {
        const cell = { ...sampleCell(sample), mode };
        const ways = missingWays(engine, cell, o.ways, results);
        const data = asJob(cell, ways);
        const id = jobId(data);
        if (ways.length === 0 || waiting.has(id)) {
          o.onCell?.(++done, cells.length);
          return;
        }
        const end = collect(id);
        // It is awaited with the others, unless something throws before.
        end.catch(() => undefined);
        collected.push(end);
        const job = await queue.add("cell", data, { jobId: id, attempts: ATTEMPTS });
        // It may have ended before anybody listened.
        if ((await job.isCompleted()) || (await job.isFailed())) waiting.end(id);
      });
    }
    await Promise.all(collected);
    if (failures.length > 0) {
      throw new PyramidKVError(
        "USAGE",
        `${failures.length} of ${cells.length} cells failed, the rest is done; the first: ${failures[0]}`,
      );
    }
    return results.rows;
  } finally {
    waiting.close();
    // A server that is gone must not hold the process.
    await Promise.race([Promise.all([events.close(), queue.close()]), delay(CLOSE_MS)]);
    for (const client of [listening, connection]) client.disconnect();
  }
}

/** Jobs whose end is waited for. */
class Waiting {
  readonly #ends = new Map<string, { resolve: () => void; reject: (reason: Error) => void }>();
  readonly #onAbort = () => {
    for (const { reject } of this.#ends.values()) {
      reject(new PyramidKVError("ABORTED", "stopped"));
    }
  };

  constructor(private readonly signal: AbortSignal | undefined) {
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  has(id: string): boolean {
    return this.#ends.has(id);
  }

  until(id: string): Promise<void> {
    return new Promise((resolve, reject) => this.#ends.set(id, { resolve, reject }));
  }

  end(id: string): void {
    this.#ends.get(id)?.resolve();
    this.#ends.delete(id);
  }

  close(): void {
    this.signal?.removeEventListener("abort", this.#onAbort);
  }
}
