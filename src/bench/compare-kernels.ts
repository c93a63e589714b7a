import { resolveCompression } from "../compression/resolve.ts";
import { Engine } from "../engine/engine.ts";
import { SingleOperations } from "../engine/single-operations.ts";
import { chooseKernels, type KernelInfo } from "../ggml/kernels/choices.ts";
import { kernelLibrary } from "../ggml/kernels/library.ts";
import { Libllama } from "../ggml/libllama.ts";
import { compareAccuracy, type Accuracy } from "./accuracy.ts";
import { measureMemory } from "./peak-memory.ts";
import { median } from "./statistics.ts";

/** What is measured, on which texts. */
export interface KernelBenchOptions {
  /** The kernels to measure, loaded. */
  readonly engine: Engine;
  readonly modelPath: string;
  readonly kernels: string;
  readonly threads: number;
  readonly text: string;
  /** The text's tokens, over again until they are as many as the longest prompt. */
  readonly tokens: Int32Array;
  readonly lengths: readonly number[];
  readonly decodeTokens: number;
  readonly repetitions: number;
  readonly kvSize: number;
  readonly onStep?: (what: string) => void;
}

/** Medians over the rounds; ratios are medians of each round's ratio. */
export interface PromptSpeeds {
  readonly promptTokens: number;
  /** Tokens per second of a prompt. */
  readonly libllama: number;
  readonly ggml: number;
  readonly full: number;
  readonly pyramidkv: number;
  readonly h2o: number;
  readonly oneThread: number;
  readonly overLibllama: number;
  readonly overOneThread: number;
  /**
   * Share of the prompt's time that scoring, selecting and compacting takes. Selecting and compacting are timed in
   * the prompt, and scoring alone for each layer: together they are less than two prompts differ by chance.
   */
  readonly pyramidkvShare: number;
  /** How much longer the prompt takes than with the full cache, the fastest rounds of both: sums come with attention. */
  readonly h2oShare: number;
  /** Tokens per second after the prompt. */
  readonly decode: { libllama: number; ggml: number; ours: number };
  readonly decodeOverGgml: number;
  readonly decodeOverLibllama: number;
}

export interface KernelComparison {
  readonly kernels: KernelInfo;
  readonly attention: readonly { headDim: number; ggml: number; ours: number; ratio: number }[];
  readonly prompts: readonly PromptSpeeds[];
  /** Mean KL to products in f32, by our f32 kernels, after prompts of several lengths. */
  readonly accuracy: readonly KernelAccuracy[];
  /** Bytes by prompt length. */
  readonly peakRss: Readonly<Record<number, { readonly ggml: number; readonly ours: number }>>;
}

export interface KernelAccuracy {
  /** The variant whose products are in f32. */
  readonly reference: string;
  readonly promptTokens: number;
  readonly ours: Accuracy;
  readonly ggml: Accuracy;
}

const ATTENTION = [
  { headDim: 64, nHead: 9, nHeadKv: 3, nQueries: 512, nKv: 4096 },
  { headDim: 128, nHead: 32, nHeadKv: 8, nQueries: 512, nKv: 4096 },
];
const ACCURACY_PROMPTS = 8;
/** A question, and a document. */
const ACCURACY_TOKENS = [37, 600];
const ACCURACY_STEPS = 64;

/** Our kernels beside libllama and beside ggml's operations in our own engine, in turn on the same tokens. */
export async function compareKernels(o: KernelBenchOptions): Promise<KernelComparison> {
  const load = (kernels: string, threads = o.threads) =>
    Engine.load({ model: o.modelPath, threads, kernels });
  o.onStep?.("attention alone");
  const attention = await compareAttention(o);
  const ours = o.engine;
  await using ggml = await load("ggml");
  await using alone = await load(o.kernels, 1);
  const prompts: PromptSpeeds[] = [];
  for (const length of o.lengths) {
    prompts.push(await comparePrompt(o, length, { ours, ggml, alone }));
  }
  o.onStep?.("accuracy");
  const accuracy = await accuracyOf(o, ours, ggml);
  o.onStep?.("peak memory");
  const peaks: Record<number, { ggml: number; ours: number }> = {};
  for (const length of o.lengths) {
    const memory = async (kernels: string) => {
      const measured = await measureMemory({ ...o, text: textOf(o, length), kernels });
      return measured.memory.peakRssBytes;
    };
    peaks[length] = { ggml: await memory("ggml"), ours: await memory(o.kernels) };
  }
  return { kernels: ours.kernels, attention, prompts, accuracy, peakRss: peaks };
}

/** About `length` tokens of text: the text repeated, and cut by the mean length of a token. */
export function textOf(
  { engine, text }: Pick<KernelBenchOptions, "engine" | "text">,
  length: number,
): string {
  const share = length / engine.tokenizer.encode(text, { parseSpecial: false }).length;
  return text.repeat(Math.ceil(share)).slice(0, Math.floor(text.length * share));
}

async function compareAttention(o: KernelBenchOptions): Promise<KernelComparison["attention"]> {
  using ggml = new SingleOperations(o.threads);
  using operations = ownOperations(o);
  const rows: { headDim: number; ggml: number; ours: number; ratio: number }[] = [];
  for (const size of ATTENTION) {
    const baseline = (await ggml.attention(size, 4 * o.repetitions)).gflops;
    const speed = (await operations.attention(size, 4 * o.repetitions)).gflops;
    rows.push({ headDim: size.headDim, ggml: baseline, ours: speed, ratio: speed / baseline });
  }
  return rows;
}

function ownOperations({ threads, kernels }: KernelBenchOptions): SingleOperations {
  return new SingleOperations(threads, chooseKernels(kernels).variant);
}

/** Milliseconds of scoring one layer of a prompt alone. */
async function windowScores(o: KernelBenchOptions, nKv: number): Promise<number> {
  const { headDim, nHead, nHeadKv } = o.engine.model;
  const { alpha: nQueries } = resolveCompression({ method: "pyramidkv" }).options;
  using operations = ownOperations(o);
  const size = { headDim, nHead, nHeadKv, nKv, nQueries };
  return await operations.windowScoreMs(size, 4 * o.repetitions);
}

type Engines = Readonly<Record<"ours" | "ggml" | "alone", Engine>>;

async function comparePrompt(
  o: KernelBenchOptions,
  length: number,
  { ours, ggml, alone }: Engines,
): Promise<PromptSpeeds> {
  const prompt = o.tokens.slice(0, length);
  const rounds: Record<string, number>[] = [];
  for (let i = 0; i < o.repetitions; i++) {
    o.onStep?.(`${length} tokens, round ${i + 1}`);
    const peer = await runLibllama(o, prompt);
    const full = await runOurs(ours, o, prompt, "full", 1);
    const small = await runOurs(ours, o, prompt, "pyramidkv", o.decodeTokens);
    const h2o = await runOurs(ours, o, prompt, "h2o", 1);
    const baseline = await runOurs(ggml, o, prompt, "pyramidkv", o.decodeTokens);
    const single = await runOurs(alone, o, prompt, "pyramidkv", 1);
    rounds.push({
      libllama: peer.prefill,
      ggml: baseline.prefill,
      full: full.prefill,
      pyramidkv: small.prefill,
      h2o: h2o.prefill,
      oneThread: single.prefill,
      compressShare: small.compressShare,
      overLibllama: small.prefill / peer.prefill,
      overOneThread: small.prefill / single.prefill,
      peerDecode: peer.decode,
      ggmlDecode: baseline.decode,
      ourDecode: small.decode,
      decodeOverGgml: small.decode / baseline.decode,
      decodeOverLibllama: small.decode / peer.decode,
    });
  }
  const of = (key: string) => median(rounds.map((r) => r[key] as number));
  const best = (key: string) => Math.max(...rounds.map((r) => r[key] as number));
  const scoreMs = (await windowScores(o, length)) * ours.model.nLayer;
  return {
    promptTokens: length,
    libllama: of("libllama"),
    ggml: of("ggml"),
    full: of("full"),
    pyramidkv: of("pyramidkv"),
    h2o: of("h2o"),
    oneThread: of("oneThread"),
    overLibllama: of("overLibllama"),
    overOneThread: of("overOneThread"),
    pyramidkvShare: of("compressShare") + (scoreMs / length / 1000) * of("pyramidkv"),
    h2oShare: 1 - best("h2o") / best("full"),
    decode: { libllama: of("peerDecode"), ggml: of("ggmlDecode"), ours: of("ourDecode") },
    decodeOverGgml: of("decodeOverGgml"),
    decodeOverLibllama: of("decodeOverLibllama"),
  };
}

async function runLibllama(o: KernelBenchOptions, prompt: Int32Array) {
  const nCtx = prompt.length + o.decodeTokens + 64;
  using peer = await Libllama.load(o.modelPath, { threads: o.threads, nCtx });
  const started = performance.now();
  await peer.evaluate(prompt);
  const prefilled = performance.now();
  for (let i = 0; i < o.decodeTokens; i++) await peer.evaluate(Int32Array.of(1000 + i));
  return {
    prefill: perSecond(prompt.length, prefilled - started),
    decode: perSecond(o.decodeTokens, performance.now() - prefilled),
  };
}

async function runOurs(
  engine: Engine,
  o: KernelBenchOptions,
  prompt: Int32Array,
  method: string,
  decodeTokens: number,
) {
  using session = engine.createSession({ method, kvSize: o.kvSize });
  const started = performance.now();
  await session.prefill(prompt);
  const prefilled = performance.now();
  // The same tokens as libllama's.
  for (let i = 0; i < decodeTokens; i++) await session.decode(1000 + i);
  const { compressMs, prefillMs } = session.timings;
  return {
    prefill: perSecond(prompt.length, prefilled - started),
    decode: perSecond(decodeTokens, performance.now() - prefilled),
    compressShare: compressMs / prefillMs,
  };
}

async function accuracyOf(
  o: KernelBenchOptions,
  ours: Engine,
  ggml: Engine,
): Promise<KernelAccuracy[]> {
  const library = kernelLibrary();
  const exact =
    typeof library === "string"
      ? undefined
      : library.variants.find((v) => v.available && v.precision === "f32");
  if (exact === undefined) return [];
  await using reference = await Engine.load({
    model: o.modelPath,
    threads: o.threads,
    kernels: exact.name,
  });
  const accuracies: KernelAccuracy[] = [];
  for (const promptTokens of ACCURACY_TOKENS) {
    const length = Math.min(promptTokens, Math.floor(o.tokens.length / 2));
    const step = Math.floor((o.tokens.length - length) / (ACCURACY_PROMPTS - 1));
    const prompts = Array.from({ length: ACCURACY_PROMPTS }, (_, i) =>
      o.tokens.slice(i * step, i * step + length),
    );
    const [kernels, base] = await compareAccuracy(reference, [ours, ggml], {
      prompts,
      steps: ACCURACY_STEPS,
    });
    accuracies.push({
      reference: exact.name,
      promptTokens: length,
      ours: kernels as Accuracy,
      ggml: base as Accuracy,
    });
  }
  return accuracies;
}

function perSecond(n: number, ms: number): number {
  return (n / ms) * 1000;
}
