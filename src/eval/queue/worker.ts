import { Worker } from "bullmq";
import type { Engine } from "../../engine/engine.ts";
import type { ResultRow } from "../run/result-row.ts";
import { answerCell } from "../run/run.ts";
import { connect, fromJob, queueName, type CellJob, type CellResult } from "./cell-queue.ts";

export interface WorkerOptions {
  /** `redis://…` */
  readonly queue: string;
  /** Milliseconds after which a cell whose worker is silent is given to another. Defaults to 30,000. */
  readonly leaseMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after each cell that was answered. */
  readonly onCell?: (rows: readonly ResultRow[]) => void;
  /** Instead of the engine, in tests. */
  readonly answer?: typeof answerCell;
}

const LEASE_MS = 30_000;

/**
 * Takes cells of the engine's model from a queue until `signal` fires, and then ends the cell at hand. A worker that
 * is killed loses nothing: its cell goes to another once its lease is over.
 *
 * @throws `USAGE`, `NETWORK`
 */
export async function work(engine: Engine, o: WorkerOptions): Promise<void> {
  const { leaseMs = LEASE_MS, answer = answerCell } = o;
  const connection = await connect(o.queue);
  const worker = new Worker<CellJob, CellResult>(
    queueName(engine.weights),
    async ({ data }) => {
      const { cell, ways } = fromJob(data);
      const rows = await answer(engine, cell, ways);
      o.onCell?.(rows);
      return rows;
    },
    {
      connection,
      concurrency: 1,
      lockDuration: leaseMs,
      stalledInterval: leaseMs,
      // Workers may die as often as they like.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    },
  );
  worker.on("error", () => undefined); // the connection is tried again
  try {
    await worker.waitUntilReady();
    if (o.signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        o.signal?.addEventListener("abort", () => {
          resolve();
        });
      });
    }
  } finally {
    await worker.close();
    connection.disconnect();
  }
}
