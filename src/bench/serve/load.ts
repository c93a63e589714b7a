import { setTimeout as delay } from "node:timers/promises";
import { throwIfAborted } from "../../errors.ts";
import { percentile } from "../statistics.ts";
import { interval, type Distribution } from "./distribution.ts";
import { sendRequest, type LoadResult, type LoadTarget } from "./request.ts";

/** How requests come: a number at any time, or a number each second, whether earlier ones are done or not. */
export type Arrivals =
  | { readonly kind: "closed"; readonly concurrency: number }
  | { readonly kind: "open"; readonly rate: number };

export interface LoadOptions {
  readonly target: LoadTarget;
  readonly requests: number;
  readonly arrivals: Arrivals;
  /** Tokens of prompts, about, and of answers, at most. */
  readonly promptTokens: Distribution;
  readonly outputTokens: Distribution;
  /** Text of about this many tokens, different for every request. */
  readonly textOf: (tokens: number, request: number) => string;
  readonly random: () => number;
  readonly signal?: AbortSignal | undefined;
  readonly onDone?: (done: number, total: number) => void;
}

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface LoadReport {
  readonly requests: number;
  readonly failed: number;
  /** The sentences that failed requests gave, and how often. */
  readonly errors: Readonly<Record<string, number>>;
  readonly wallMs: number;
  readonly outputTokens: number;
  /** Tokens per second of all requests together. */
  readonly outputTokensPerSecond: number;
  readonly requestsPerSecond: number;
  /** Latencies of requests that succeeded, in milliseconds. */
  readonly firstTokenMs: Percentiles;
  readonly gapMs: Percentiles;
  readonly totalMs: Percentiles;
}

/** Sends all requests and waits for all answers. Lengths and arrivals are drawn before, so that two runs ask the same. */
export async function runLoad(o: LoadOptions): Promise<LoadReport> {
  const work = Array.from({ length: o.requests }, (_, i) => ({
    prompt: o.textOf(o.promptTokens(o.random), i),
    maxTokens: o.outputTokens(o.random),
    signal: o.signal,
  }));
  const pauses = work.map(() =>
    o.arrivals.kind === "open" ? interval(o.arrivals.rate, o.random) : 0,
  );
  const results: LoadResult[] = [];
  const send = async (i: number) => {
    results.push(await sendRequest(o.target, work[i] as (typeof work)[number]));
    o.onDone?.(results.length, o.requests);
  };
  const started = performance.now();
  if (o.arrivals.kind === "closed") {
    let next = 0;
    const worker = async () => {
      while (next < work.length && o.signal?.aborted !== true) await send(next++);
    };
    await Promise.all(Array.from({ length: o.arrivals.concurrency }, worker));
  } else {
    const sent: Promise<void>[] = [];
    let due = 0;
    for (const [i, pause] of pauses.entries()) {
      // The first comes at once, and being late once delays no other.
      if (i > 0) due += pause * 1000;
      const wait = Math.max(0, started + due - performance.now());
      await delay(wait, undefined, o.signal ? { signal: o.signal } : {}).catch(() => undefined);
      if (o.signal?.aborted === true) break;
      sent.push(send(i));
    }
    await Promise.all(sent);
  }
  throwIfAborted(o.signal);
  return report(results, performance.now() - started);
}

function report(results: readonly LoadResult[], wallMs: number): LoadReport {
  const done = results.filter((r) => r.error === undefined);
  const errors: Record<string, number> = {};
  for (const { error } of results)
    if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  const outputTokens = done.reduce((sum, r) => sum + r.outputTokens, 0);
  return {
    requests: results.length,
    failed: results.length - done.length,
    errors,
    wallMs,
    outputTokens,
    outputTokensPerSecond: (outputTokens / wallMs) * 1000,
    requestsPerSecond: (done.length / wallMs) * 1000,
    firstTokenMs: percentiles(done.flatMap((r) => r.firstTokenMs ?? [])),
    gapMs: percentiles(done.flatMap((r) => r.gapsMs)),
    totalMs: percentiles(done.map((r) => r.totalMs)),
  };
}

function percentiles(values: readonly number[]): Percentiles {
  const at = (share: number) => percentile(values, share);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
