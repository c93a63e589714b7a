import type { Command } from "commander";
import { sessionCompression } from "../engine/session-options.ts";
import type { Engine } from "../engine/engine.ts";
import { reportKv } from "../engine/kv-report.ts";
import { DEFAULT_MAX_TOKENS } from "../engine/session.ts";
import { checkSampling } from "../engine/sampler.ts";
import { PyramidKVError } from "../errors.ts";
import { writeWhole } from "../files.ts";
import { Interrupt } from "./interrupt.ts";
import { progressBar } from "./progress.ts";
import { note, print, printJson, printPiece, style } from "./terminal.ts";
import { requireFits } from "./fits.ts";
import { loadEngine } from "./load-engine.ts";
import {
  addCompressionOptions,
  addModelOptions,
  addSamplingOptions,
  integer,
  samplingOptions,
  sessionOptions,
  type CompressionFlags,
  type ModelFlags,
  type SamplingFlags,
} from "./options.ts";
import type { GenerateJson } from "./json.ts";
import { noteUnused } from "./unused.ts";
import { encodePrompt, readPrompt, type PromptFlags } from "./prompt.ts";
import {
  cutNote,
  memoryResult,
  methodResult,
  modelResult,
  summary,
  timingsResult,
} from "./results.ts";

type Flags = ModelFlags &
  CompressionFlags &
  SamplingFlags &
  PromptFlags & {
    readonly maxTokens?: number;
    readonly json?: boolean;
    readonly kept?: boolean;
    readonly logitsOut?: string;
  };

/** `pyramidkv generate`: one prompt, one answer, and the proof of what was kept. */
export function generateCommand(command: Command): void {
  command
    .description("answer a prompt from a compressed KV cache")
    .option("-p, --prompt <text>", "the prompt, or the question on a document")
    .option(
      "-f, --prompt-file <path>",
      "a document, or the prompt (-: stdin, as where text comes there)",
    )
    .option("--raw", "take the prompt as it is, without the chat template")
    .option("--system <text>", "system message of the chat template")
    .option("-n, --max-tokens <n>", "most tokens to generate (default: 256)", integer);
  addModelOptions(command);
  addCompressionOptions(command);
  addSamplingOptions(command)
    .option("--json", "print one JSON object with text, cache and timings")
    .option("--kept", "with --json: the kept positions of every layer and kv head")
    .option(
      "--logits-out <path>",
      "write the logits at the last prompt token, little-endian float32",
    )
    .addHelpText(
      "after",
      `
Examples:
  pyramidkv generate --prompt "What is a KV cache?"
  pyramidkv generate -f book.txt -p "Who is the narrator?" --kv-size 512 --json
  cat notes.txt | pyramidkv generate -p "Summarize." --method snapkv --kv-size 1024`,
    )
    .action((flags: Flags) => generate(flags));
}

async function generate(flags: Flags): Promise<void> {
  // What is wrong with the options is said before a document is waited for and a model is fetched.
  const options = await sessionOptions(flags);
  sessionCompression(options);
  checkSampling(samplingOptions(flags));
  const text = await readPrompt(flags);
  using interrupt = new Interrupt();
  await using engine = await loadEngine(flags, interrupt.signal);
  using session = engine.createSession(options);
  noteUnused(flags, session.compression);
  const prompt = encodePrompt(engine.tokenizer, text, flags);
  checkRoom(engine, prompt.length, session.endless ? 0 : flags.maxTokens);
  if (flags.force !== true) {
    await requireFits({
      ...options,
      model: { ...engine.model, weightBytes: engine.weightBytes },
      context: prompt.length,
      newTokens: flags.maxTokens ?? DEFAULT_MAX_TOKENS,
      ownKernels: engine.kernels.name !== "ggml",
      ...(engine.profile === undefined ? {} : { known: engine.profile }),
    });
  }

  const started = performance.now();
  const bar = progressBar("prefill", "share");
  try {
    await session.prefill(prompt, {
      signal: interrupt.signal,
      onProgress: (share) => bar.update(Math.round(share * 1000), 1000),
    });
  } finally {
    bar.stop();
  }
  if (flags.logitsOut !== undefined) await writeLogits(flags.logitsOut, session.logits);
  const kv = reportKv(session.cache, prompt.length, flags.kept);

  const generation = {
    ...samplingOptions(flags),
    ...(flags.maxTokens === undefined ? {} : { maxTokens: flags.maxTokens }),
    signal: interrupt.signal,
  };
  let answer = "";
  let timeToFirstTokenMs = 0;
  let finishReason: GenerateJson["finishReason"] = "length";
  const tokens: number[] = [];
  try {
    for await (const piece of session.generate(generation)) {
      timeToFirstTokenMs ||= performance.now() - started;
      answer += piece.text;
      tokens.push(piece.token);
      finishReason = piece.finishReason ?? finishReason;
      if (flags.json !== true) printPiece(piece.text);
    }
  } catch (error) {
    if (!(error instanceof PyramidKVError) || error.code !== "ABORTED") throw error;
    finishReason = "interrupted";
    process.exitCode = 130;
  }

  const timings = timingsResult(engine, session, timeToFirstTokenMs);
  const { peak } = session.cache.ledger;
  if (flags.json !== true) {
    print();
    const cut = cutNote(finishReason, flags.maxTokens ?? tokens.length, session);
    if (cut !== undefined) note(style("dim", cut));
    note(summary(kv, peak, prompt.length, timings));
    return;
  }
  const { layers, ...totals } = kv;
  printJson<GenerateJson>({
    text: answer,
    tokens,
    promptTokens: prompt.length,
    finishReason,
    method: methodResult(session),
    kv: { ...totals, endBytes: session.cache.bytes, peakBytes: peak, layers },
    timings,
    model: modelResult(engine),
    kernels: engine.kernels,
    memory: memoryResult(engine),
  });
}

/** Says before a long prefill that the answer would not fit. */
function checkRoom(engine: Engine, promptTokens: number, maxTokens = 0): void {
  const { nCtx } = engine.model;
  const room = nCtx - promptTokens;
  // Where the context is full, one token more can be told all the same.
  if (room >= maxTokens || (room === 0 && maxTokens === 1)) return;
  const more = maxTokens > 0 ? ` and ${maxTokens} to generate` : "";
  const advice = room > 0 ? `shorten the prompt or use --max-tokens ${room}` : "shorten the prompt";
  throw new PyramidKVError(
    "CONTEXT_FULL",
    `a prompt of ${promptTokens} tokens${more} exceeds the model's context of ${nCtx}; ${advice}`,
  );
}

async function writeLogits(path: string, logits: Float32Array): Promise<void> {
  const bytes = new DataView(new ArrayBuffer(logits.length * 4));
  logits.forEach((logit, i) => bytes.setFloat32(i * 4, logit, true));
  await writeWhole(path, new Uint8Array(bytes.buffer));
}
