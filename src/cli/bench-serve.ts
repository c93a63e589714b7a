import type { Command } from "commander";
import { seededRandom } from "../random.ts";
import { parseDistribution } from "../bench/serve/distribution.ts";
import { runLoad, type LoadReport, type Percentiles } from "../bench/serve/load.ts";
import { PyramidKVError, requireInteger } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { Interrupt } from "./interrupt.ts";
import { table } from "./format.ts";
import { progressBar } from "./progress.ts";
import { note, print, printJson, style } from "./terminal.ts";
import { decimal, integer } from "./options.ts";

interface Flags {
  readonly url: string;
  readonly model: string;
  readonly requests: number;
  readonly concurrency?: number;
  readonly rate?: number;
  readonly promptTokens: string;
  readonly outputTokens: string;
  readonly seed: number;
  readonly json?: boolean;
}

/** Characters of a token of English text, about. */
const CHARACTERS = 4.2;

/** `pyramidkv bench serve`: loads any server that speaks OpenAI's chat completions, ours or another. */
export function benchServeCommand(command: Command): void {
  command
    .description("load any OpenAI-compatible server: latencies and throughput")
    .requiredOption("--url <url>", "the server, with or without /v1")
    .option("--model <name>", "model to ask for", "default")
    .option("--requests <n>", "requests to send", integer, 32)
    .option("--concurrency <n>", "closed loop: requests at any time (default: 4)", integer)
    .option("--rate <x>", "open loop: requests a second, coming independently", decimal)
    .option("--prompt-tokens <form>", "256, uniform:64-512 or lognormal:256,0.5", "256")
    .option("--output-tokens <form>", "the same of answers", "64")
    .option("--seed <n>", "seed of lengths and arrivals", integer, 0)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
A key is taken from OPENAI_API_KEY. Prompts are stretches of an English text, a different one for each request.

Examples:
  pyramidkv bench serve --url http://localhost:8080 --concurrency 8 --requests 100
  pyramidkv bench serve --url http://localhost:8000/v1 --model m --rate 2 --prompt-tokens lognormal:800,0.6`,
    )
    .action((flags: Flags) => benchServe(flags));
}

async function benchServe(flags: Flags): Promise<void> {
  const { url, model, requests, concurrency, rate } = flags;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new PyramidKVError("USAGE", `"${url}" is no URL such as http://localhost:8080`);
  }
  requireInteger("requests", requests, 1);
  if (rate !== undefined && concurrency !== undefined) {
    throw new PyramidKVError(
      "USAGE",
      "--rate is an open loop, --concurrency a closed one; give one",
    );
  }
  if (rate !== undefined && !(rate > 0)) {
    throw new PyramidKVError("USAGE", `rate must be above 0, got ${rate}`);
  }
  const promptTokens = parseDistribution("--prompt-tokens", flags.promptTokens);
  const outputTokens = parseDistribution("--output-tokens", flags.outputTokens);
  const text = await readHaystack();
  using interrupt = new Interrupt();
  const bar = progressBar("requests", "count");
  let report: LoadReport;
  try {
    report = await runLoad({
      requests,
      promptTokens,
      outputTokens,
      random: seededRandom(flags.seed),
      target: { url, model, apiKey: process.env.OPENAI_API_KEY },
      arrivals:
        rate === undefined
          ? { kind: "closed", concurrency: requireInteger("concurrency", concurrency ?? 4, 1) }
          : { kind: "open", rate },
      textOf: (tokens, request) => stretchOf(text, tokens, request),
      signal: interrupt.signal,
      onDone: (done, total) => bar.update(done, total),
    });
  } finally {
    bar.stop();
  }
  if (flags.json === true) printJson({ settings: flags, ...report });
  else printReport(report);
  if (report.failed > 0) process.exitCode = 1;
}

function printReport(r: LoadReport): void {
  const row = (what: string, { p50, p90, p99 }: Percentiles) => [
    what,
    ...[p50, p90, p99].map((ms) => `${ms.toFixed(ms < 100 ? 1 : 0)} ms`),
  ];
  const rows = [
    row("first token", r.firstTokenMs),
    row("between tokens", r.gapMs),
    row("whole answer", r.totalMs),
  ];
  if (r.failed < r.requests) {
    print(`${table(["", "p50", "p90", "p99"], rows)}\n`);
  }
  const seconds = (r.wallMs / 1000).toFixed(1);
  print(
    `${r.requests - r.failed} of ${r.requests} requests in ${seconds} s: ${r.requestsPerSecond.toFixed(2)} requests/s, ${r.outputTokensPerSecond.toFixed(1)} tokens/s`,
  );
  for (const [error, n] of Object.entries(r.errors)) note(style("red", `failed ${n} ×: ${error}`));
}

/** Begins every prompt, so that no server finds it in a cache, not even of an earlier run. */
const RUN = Date.now().toString(36);

/** About `tokens` tokens of the text, from another place for every request. */
function stretchOf(text: string, tokens: number, request: number): string {
  const length = Math.round(tokens * CHARACTERS);
  const from = (request * 7919) % text.length;
  const repeated = text.repeat(Math.ceil((from + length) / text.length));
  return `${RUN}-${request}: ${repeated.slice(from, from + length)}`;
}
