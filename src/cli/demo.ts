import type { Command } from "commander";
import { reportKv, type KvReport } from "../engine/kv-report.ts";
import type { Engine } from "../engine/engine.ts";
import type { Session } from "../engine/session.ts";
import type { SessionOptions } from "../engine/session-options.ts";
import { readHaystack } from "../eval/haystack.ts";
import { needlePrompt, DEMO_NEEDLE } from "../eval/needle/prompt.ts";
import { Interrupt } from "./interrupt.ts";
import { formatBytes, sparkline, table } from "./format.ts";
import { progressBar } from "./progress.ts";
import { note, print, style } from "./terminal.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, type ModelFlags } from "./options.ts";

const MODEL = "qwen2.5-coder-0.5b";
const PROMPT_TOKENS = 4_200;
const DEPTH = 0.3;
const ANSWER_TOKENS = 24;

/** Sizes that a good model finds the needle with, and a method that does not see what is important. */
const RUNS: readonly (SessionOptions & { label: string })[] = [
  { label: "full cache", method: "full" },
  { label: "pyramidkv, 1024 kept", method: "pyramidkv", kvSize: 1024 },
  { label: "pyramidkv, 128 kept", method: "pyramidkv", kvSize: 128 },
  { label: "streaming-llm, 128 kept", method: "streaming-llm", kvSize: 128 },
];

interface DemoRun {
  readonly label: string;
  readonly answer: string;
  readonly found: boolean;
  readonly kv: KvReport;
  readonly peakBytes: number;
  readonly decodeTokensPerSecond: number;
}

/** `pyramidkv demo`: hides a fact in a long text and asks for it, with the full and with compressed caches. */
export function demoCommand(command: Command): void {
  command.description("find a needle in a long text, with the full and with compressed caches");
  addModelOptions(command, MODEL).action((flags: ModelFlags) => demo(flags));
}

async function demo(flags: ModelFlags): Promise<void> {
  using interrupt = new Interrupt();
  const { signal } = interrupt;
  await using engine = await loadEngine(flags, signal);
  const haystack = await readHaystack();
  const prompt = needlePrompt(engine.tokenizer, haystack, DEMO_NEEDLE, PROMPT_TOKENS, DEPTH);
  note(
    `${style("bold", "The text")}  the Declaration of Independence and Article I of the Constitution, ${prompt.length} tokens`,
  );
  note(`${style("bold", "Hidden ")}   ${DEMO_NEEDLE.text}`);
  note(`${style("bold", "Asked  ")}   ${DEMO_NEEDLE.question}\n`);

  const sessions = RUNS.map(({ label: _, ...options }) => engine.createSession(options));
  const started = performance.now();
  await read(engine, sessions, prompt, signal);
  const seconds = (performance.now() - started) / 1000;
  const runs: DemoRun[] = [];
  for (const [i, session] of sessions.entries()) {
    const { label } = RUNS[i] as (typeof RUNS)[number];
    runs.push(await answerOf(session, label, prompt.length, signal));
    session[Symbol.dispose]();
  }
  print(
    `The text was read once, in ${seconds.toFixed(1)} s (${(prompt.length / seconds).toFixed(0)} tokens/s), into ${RUNS.length} caches.\n`,
  );
  printRuns(runs);
}

/** One prefill for all: attention is computed once, and each cache keeps its own tokens. */
async function read(
  engine: Engine,
  sessions: readonly Session[],
  prompt: Int32Array,
  signal: AbortSignal,
): Promise<void> {
  const bar = progressBar("reading", "share");
  try {
    await engine.prefillTogether(sessions, prompt, {
      signal,
      onProgress: (share) => bar.update(Math.round(share * 1000), 1000),
    });
  } finally {
    bar.stop();
  }
}

async function answerOf(
  session: Session,
  label: string,
  promptTokens: number,
  signal: AbortSignal,
): Promise<DemoRun> {
  const kv = reportKv(session.cache, promptTokens);
  let answer = "";
  for await (const { text } of session.generate({ maxTokens: ANSWER_TOKENS, signal })) {
    answer += text;
  }
  const { decodeTokensPerSecond } = session.timings;
  const found = answer.includes(DEMO_NEEDLE.answer);
  const peakBytes = session.cache.ledger.peak;
  return { label, answer: answer.trim(), found, kv, peakBytes, decodeTokensPerSecond };
}

function printRuns(runs: readonly DemoRun[]): void {
  const rows = runs.map(({ label, answer, found, kv, peakBytes, decodeTokensPerSecond }) => [
    label,
    (found ? style("green", "✓ ") : style("red", "✗ ")) + shorten(answer, 52),
    formatBytes(kv.bytes),
    `${((100 * kv.bytes) / kv.fullBytes).toFixed(1)} %`,
    formatBytes(peakBytes),
    decodeTokensPerSecond.toFixed(0),
  ]);
  const head = ["cache", "answer", "KV held", "of full", "at its peak", "tokens/s"];
  print(`${table(head, rows)}\n`);
  print(`tokens kept per layer, lowest layer first`);
  for (const { label, kv } of runs) {
    const kept = kv.layers.map((l) => Math.round(l.kept));
    const range = `${kept[0]} … ${kept.at(-1)}`;
    print(`  ${label.padEnd(24)} ${sparkline(kept)}  ${range}`);
  }
  const least = runs.findLast(({ found }) => found);
  if (least === undefined) print("\nThis model does not find the number, whatever is kept.");
  else print(`\nThe smallest cache that found the number: ${least.label}.`);
}

function shorten(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}
