import type { Command } from "commander";
import { reportKv, type KvReport } from "../engine/kv-report.ts";
import type { Engine } from "../engine/engine.ts";
import type { SessionOptions } from "../engine/session-options.ts";
import { readHaystack } from "../eval/haystack.ts";
import { needlePrompt, DEMO_NEEDLE } from "../eval/needle/prompt.ts";
import { Interrupt } from "./interrupt.ts";
import { formatBytes, sparkline, table } from "./format.ts";
import { progressBar } from "./progress.ts";
import { note, print, style } from "./terminal.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, type ModelFlags } from "./options.ts";
import { timingsResult } from "./results.ts";

const PROMPT_TOKENS = 3_900;
const DEPTH = 0.3;
const ANSWER_TOKENS = 24;

/** A size that this small model finds the needle with, and one that is too small for it. */
const RUNS: readonly (SessionOptions & { label: string })[] = [
  { label: "full cache", method: "full" },
  { label: "pyramidkv, 1024 kept", method: "pyramidkv", kvSize: 1024 },
  { label: "pyramidkv, 128 kept", method: "pyramidkv", kvSize: 128 },
];

interface DemoRun {
  readonly label: string;
  readonly answer: string;
  readonly kv: KvReport;
  readonly peakBytes: number;
  readonly timings: ReturnType<typeof timingsResult>;
}

/** `pyramidkv demo`: hides a fact in a long text and asks for it, with the full and with compressed caches. */
export function demoCommand(command: Command): void {
  command.description("find a needle in a long text, with the full and with compressed caches");
  addModelOptions(command).action((flags: ModelFlags) => demo(flags));
}

async function demo(flags: ModelFlags): Promise<void> {
  using interrupt = new Interrupt();
  await using engine = await loadEngine(flags, interrupt.signal);
  const haystack = await readHaystack();
  const prompt = needlePrompt(engine.tokenizer, haystack, DEMO_NEEDLE, PROMPT_TOKENS, DEPTH);
  note(
    `${style("bold", "The text")}  the Declaration of Independence and Article I of the Constitution, ${prompt.length} tokens`,
  );
  note(`${style("bold", "Hidden ")}   ${DEMO_NEEDLE.text}`);
  note(`${style("bold", "Asked  ")}   ${DEMO_NEEDLE.question}\n`);

  const runs: DemoRun[] = [];
  for (const run of RUNS) runs.push(await runOnce(engine, run, prompt, interrupt.signal));

  const rows = runs.map(({ label, answer, kv, peakBytes, timings }) => [
    label,
    (answer.includes(DEMO_NEEDLE.answer) ? style("green", "✓ ") : style("red", "✗ ")) +
      shorten(answer, 52),
    formatBytes(kv.fullBytes),
    formatBytes(peakBytes),
    formatBytes(kv.bytes),
    `${(timings.timeToFirstTokenMs / 1000).toFixed(1)} s`,
    timings.decodeTokensPerSecond.toFixed(0),
  ]);
  const head = ["cache", "answer", "KV full", "peak", "kept", "first token", "tokens/s"];
  print(`${table(head, rows)}\n`);
  print(`tokens kept per layer, lowest layer first`);
  for (const { label, kv } of runs) {
    const kept = kv.layers.map((l) => Math.round(l.kept));
    const range = `${kept[0]} … ${kept.at(-1)}`;
    print(`  ${label.padEnd(22)} ${sparkline(kept)}  ${range}`);
  }
  print(
    "\nThe default model is small (135 million parameters): at this length it needs about 1,024 kept\n" +
      "tokens per layer to find the number, and 128 are too few.",
  );
}

async function runOnce(
  engine: Engine,
  { label, ...options }: (typeof RUNS)[number],
  prompt: Int32Array,
  signal: AbortSignal,
): Promise<DemoRun> {
  using session = engine.createSession(options);
  const bar = progressBar(label.padEnd(22), "share");
  const started = performance.now();
  let timeToFirstTokenMs = 0;
  let answer = "";
  let kv: KvReport;
  try {
    await session.prefill(prompt, {
      signal,
      onProgress: (share) => bar.update(Math.round(share * 1000), 1000),
    });
    kv = reportKv(session.cache, prompt.length);
    for await (const { text } of session.generate({ maxTokens: ANSWER_TOKENS, signal })) {
      timeToFirstTokenMs ||= performance.now() - started;
      answer += text;
    }
  } finally {
    bar.stop();
  }
  const timings = timingsResult(engine, session, timeToFirstTokenMs);
  return { label, answer: answer.trim(), kv, peakBytes: session.cache.ledger.peak, timings };
}

function shorten(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}
