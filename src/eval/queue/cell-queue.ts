import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { PyramidKVError } from "../../errors.ts";
import type { ResultRow } from "../run/result-row.ts";
import type { Cell, Way } from "../run/run.ts";

/** A cell as it lies in the queue. */
export interface CellJob {
  readonly cell: Omit<Cell, "context" | "question"> & {
    readonly context: readonly number[];
    readonly question: readonly number[];
  };
  readonly ways: readonly Way[];
}

export type CellResult = readonly ResultRow[];

export function asJob({ context, question, ...cell }: Cell, ways: readonly Way[]): CellJob {
  return { cell: { ...cell, context: [...context], question: [...question] }, ways };
}

export function fromJob({ cell, ways }: CellJob): { cell: Cell; ways: readonly Way[] } {
  const { context, question, ...rest } = cell;
  const tokens = { context: Int32Array.from(context), question: Int32Array.from(question) };
  return { cell: { ...rest, ...tokens }, ways };
}

/** The same cell has the same name, so that it is in the queue once however often it is put there. */
export function jobId(job: CellJob): string {
  return createHash("sha256").update(JSON.stringify(job)).digest("hex").slice(0, 32);
}

/** Cells of one model are taken by workers of that model alone. */
export function queueName(weights: string): string {
  return `pyramidkv-eval-${weights}`;
}

/** How long a server may take to answer at first. */
const FIRST_ANSWER_MS = 5000;
/** Later, a lost connection is tried again after so long, without end. */
const RETRY_MS = 1000;

/**
 * A connection to a Redis or Valkey server, as BullMQ wants it.
 *
 * @throws `USAGE` on an address that is none, `NETWORK` where nobody answers
 */
export async function connect(url: string): Promise<Redis> {
  if (!/^rediss?:\/\//.test(url)) {
    throw new PyramidKVError(
      "USAGE",
      `--queue takes an address such as redis://host:6379, not "${url}"`,
    );
  }
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    lazyConnect: true,
    connectTimeout: FIRST_ANSWER_MS,
    retryStrategy: () => RETRY_MS,
  });
  redis.on("error", () => undefined); // said by what fails
  try {
    await Promise.race([redis.connect(), rejectAfter(FIRST_ANSWER_MS)]);
    return redis;
  } catch (error) {
    redis.disconnect();
    const reason = error instanceof Error ? error.message : String(error);
    throw new PyramidKVError("NETWORK", `${url} is out of reach: ${reason}`, { cause: error });
  }
}

function rejectAfter(ms: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => {
      reject(new Error("no answer"));
    }, ms).unref();
  });
}
