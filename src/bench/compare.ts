import type { Engine } from "../engine/engine.ts";
import { argmax } from "../engine/sampler.ts";
import type { Session } from "../engine/session.ts";
import { Libllama } from "../ggml/libllama.ts";
import { maxAbsDifference, median } from "./statistics.ts";

export interface CompareOptions {
  readonly engine: Engine;
  /** The same model with ggml's operations, whose logits are compared. */
  readonly exact: Engine;
  /** The same file that the engine runs. */
  readonly modelPath: string;
  readonly threads: number;
  /** At least as many tokens as the longest prompt. */
  readonly tokens: Int32Array;
  readonly lengths: readonly number[];
  readonly decodeTokens: number;
  readonly repetitions: number;
  readonly kvSize: number;
  readonly onStep?: (done: number, total: number) => void;
}

/** One prompt length: our engine against libllama, run in turn on the same tokens. */
export interface Comparison {
  readonly promptTokens: number;
  /** Largest difference of the logits after the prompt to libllama's, full cache, ggml's operations. */
  readonly logitsDifference: number;
  /** Whether the greedy tokens after the full cache are the same. */
  readonly sameTokens: boolean;
  readonly libllama: Speed;
  readonly full: Speed & Ratios;
  readonly compressed: Speed & Ratios & Memory;
}

/** Tokens per second, medians over the repetitions. */
export interface Speed {
  readonly prefill: number;
  readonly decode: number;
}

/** Our speed over libllama's, median of the ratios of each repetition. */
export interface Ratios {
  readonly prefillRatio: number;
  readonly decodeRatio: number;
  /** Share of the decode time spent outside ggml: JavaScript, sampling, text. */
  readonly javascriptShare: number;
}

export interface Memory {
  readonly kvBytes: number;
  readonly fullBytes: number;
  readonly peakBytes: number;
  /** One layer's full keys and values. */
  readonly layerBytes: number;
  /** Tokens kept, summed over the layers. */
  readonly keptTotal: number;
}

/** One run. */
export interface Sample {
  readonly prefill: number;
  readonly decode: number;
  /** Milliseconds from the prompt to the first token of the answer. */
  readonly firstTokenMs: number;
  readonly logits: Float32Array;
  readonly tokens: readonly number[];
}

export type OurSample = Sample & { readonly javascriptShare: number } & Memory;

/** Runs libllama, our full cache and our compressed cache in turn, over and over. */
export async function compare(options: CompareOptions): Promise<Comparison[]> {
  const { lengths, repetitions } = options;
  const total = lengths.length * (repetitions * 3 + 1);
  let done = 0;
  const step = () => options.onStep?.(++done, total);
  await runOurs(options.engine, options, "full", options.tokens.slice(0, 512)); // warm-up, not counted
  const comparisons: Comparison[] = [];
  for (const length of lengths) {
    const prompt = options.tokens.slice(0, length);
    const peers: Sample[] = [];
    const fulls: OurSample[] = [];
    const compressed: OurSample[] = [];
    for (let i = 0; i < repetitions; i++) {
      peers.push(await runLibllama(options, prompt));
      step();
      fulls.push(await runOurs(options.engine, options, "full", prompt));
      step();
      compressed.push(await runOurs(options.engine, options, "pyramidkv", prompt));
      step();
    }
    const exact = await runOurs(options.exact, options, "full", prompt);
    step();
    comparisons.push(summarise(length, peers, exact, fulls, compressed));
  }
  return comparisons;
}

type RunOptions = Pick<CompareOptions, "modelPath" | "threads" | "decodeTokens">;

/**
 * A prompt and greedy tokens after it by libllama, with a full f16 cache.
 *
 * @param sequences that decode together, all after the same prompt, which is read once
 */
export async function runLibllama(
  o: RunOptions,
  prompt: Int32Array,
  sequences = 1,
): Promise<Sample> {
  const nCtx = prompt.length + o.decodeTokens + 64;
  using peer = await Libllama.load(o.modelPath, { threads: o.threads, nCtx, sequences });
  let started = performance.now();
  const begun = started;
  const logits = await peer.evaluate(prompt);
  const prefill = perSecond(prompt.length, started);
  const tokens: number[] = [];
  let current = logits;
  let firstTokenMs = 0;
  if (sequences > 1) peer.copyFirst();
  started = performance.now();
  for (let i = 0; i < o.decodeTokens; i++) {
    const token = argmax(current);
    tokens.push(token);
    firstTokenMs ||= performance.now() - begun;
    if (i === o.decodeTokens - 1) break;
    if (sequences === 1) {
      current = await peer.evaluate(Int32Array.of(token));
    } else {
      const batch = new Array<number>(sequences).fill(token);
      current = (await peer.evaluateTogether(batch, prompt.length + i))[0] as Float32Array;
    }
  }
  const decode = perSecond(sequences * (o.decodeTokens - 1), started);
  return { prefill, decode, firstTokenMs, logits, tokens };
}

/** The same by our engine. */
export async function runOurs(
  engine: Engine,
  o: Pick<CompareOptions, "kvSize" | "decodeTokens">,
  method: string,
  prompt: Int32Array,
  sequences = 1,
): Promise<OurSample> {
  const sessions = Array.from({ length: sequences }, () =>
    engine.createSession({ method, kvSize: o.kvSize }),
  );
  const [first] = sessions as [Session];
  try {
    let started = performance.now();
    const begun = started;
    let firstTokenMs = 0;
    await engine.prefillTogether(sessions, prompt);
    const prefill = perSecond(prompt.length, started);
    const logits = first.logits.slice();
    const memory = memoryOf(sessions, prompt.length);
    const tokens: number[] = [];
    started = performance.now();
    const options = { maxTokens: o.decodeTokens, ignoreEndOfText: true };
    const pieces =
      sequences === 1 ? first.generate(options) : engine.generateTogether(sessions, options);
    for await (const piece of pieces) {
      if (!("session" in piece) || piece.session === first) tokens.push(piece.token);
      firstTokenMs ||= performance.now() - begun;
    }
    const wallMs = performance.now() - started;
    return {
      ...memory,
      prefill,
      firstTokenMs,
      logits,
      tokens,
      decode: perSecond(sequences * (o.decodeTokens - 1), started),
      javascriptShare: 1 - first.timings.decodeComputeMs / wallMs,
    };
  } finally {
    for (const session of sessions) session[Symbol.dispose]();
  }
}

/** What the caches of all sessions hold after their prompt. */
function memoryOf(sessions: readonly Session[], promptTokens: number): Memory {
  const [{ cache }] = sessions as [Session];
  const fullBytes = sessions.length * cache.fullBytes(promptTokens);
  return {
    fullBytes,
    kvBytes: sessions.reduce((sum, s) => sum + s.cache.bytes, 0),
    // One scratch serves all.
    peakBytes: sessions.reduce((sum, s) => sum + s.cache.bytes, cache.ledger.peak - cache.bytes),
    layerBytes: (cache.fullBytes(promptTokens) - cache.stateBytes) / cache.layers.length,
    keptTotal: cache.layers.reduce((sum, l) => sum + l.kept, 0),
  };
}

function summarise(
  promptTokens: number,
  peers: readonly Sample[],
  exact: Sample,
  fulls: readonly OurSample[],
  compressed: readonly OurSample[],
): Comparison {
  const [peer, small] = [peers[0], compressed[0]] as [Sample, OurSample];
  const ratios = (ours: readonly OurSample[]): Speed & Ratios => ({
    prefill: median(ours.map((s) => s.prefill)),
    decode: median(ours.map((s) => s.decode)),
    prefillRatio: median(ours.map((s, i) => s.prefill / (peers[i]?.prefill ?? NaN))),
    decodeRatio: median(ours.map((s, i) => s.decode / (peers[i]?.decode ?? NaN))),
    javascriptShare: median(ours.map((s) => s.javascriptShare)),
  });
  const { kvBytes, fullBytes, peakBytes, layerBytes, keptTotal } = small;
  return {
    promptTokens,
    logitsDifference: maxAbsDifference(peer.logits, exact.logits),
    sameTokens: peer.tokens.every((token, i) => token === exact.tokens[i]),
    libllama: {
      prefill: median(peers.map((s) => s.prefill)),
      decode: median(peers.map((s) => s.decode)),
    },
    full: ratios(fulls),
    compressed: { ...ratios(compressed), kvBytes, fullBytes, peakBytes, layerBytes, keptTotal },
  };
}

function perSecond(n: number, started: number): number {
  return (n / (performance.now() - started)) * 1000;
}
