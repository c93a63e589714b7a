import { describeValue, PyramidKVError, requireInteger } from "../errors.ts";
import { checkOption } from "../options.ts";
import { SAMPLING_OPTIONS } from "./option-tables.ts";
import { SamplerChain, samplers, type NativeSampler } from "../ggml/sampler-chain.ts";

/** How the next token is chosen. The defaults are greedy. */
export interface SamplingOptions {
  /** 0 takes the most likely token. Defaults to 0. */
  readonly temperature?: number;
  /** Only the k most likely tokens; 0 means all. Defaults to 40. */
  readonly topK?: number;
  /** Only the most likely tokens that together have this probability. Defaults to 0.95. */
  readonly topP?: number;
  /** Only tokens with at least this share of the most likely one's probability. Defaults to 0.05. */
  readonly minP?: number;
  /** Divides the logits of tokens generated recently, in this call; 1 is off. Defaults to 1. */
  readonly repeatPenalty?: number;
  /** Subtracts this for each time a recent token occurred. Defaults to 0. */
  readonly frequencyPenalty?: number;
  /** Subtracts this once for each recent token. Defaults to 0. */
  readonly presencePenalty?: number;
  /** How many recent tokens the penalties see. Defaults to 64. */
  readonly penaltyLastN?: number;
  /** Added to the logits of tokens by id. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Seed of the random choice; the same seed gives the same text. Defaults to 0. */
  readonly seed?: number;
}

/** Picks tokens from logits. */
export interface Sampler extends Disposable {
  sample(logits: Float32Array): number;
}

/** libllama's samplers in its usual order, or a plain maximum where nothing else is asked for. */
export function createSampler(options: SamplingOptions, nVocab: number): Sampler {
  const o = checkSampling(options);
  for (const id of Object.keys(o.logitBias)) {
    requireInteger("logitBias token", Number(id), 0, nVocab - 1);
  }
  const biases = Object.entries(o.logitBias).map(([id, bias]) => [Number(id), bias] as const);
  const penalised = o.repeatPenalty !== 1 || o.frequencyPenalty !== 0 || o.presencePenalty !== 0;
  if (o.temperature === 0 && biases.length === 0 && !penalised) return greedy;

  const chain: NativeSampler[] = [];
  if (biases.length > 0) chain.push(samplers.logitBias(nVocab, biases));
  if (penalised) {
    const { penaltyLastN, repeatPenalty, frequencyPenalty, presencePenalty } = o;
    chain.push(
      samplers.penalties(nVocab, penaltyLastN, repeatPenalty, frequencyPenalty, presencePenalty),
    );
  }
  if (o.temperature === 0) {
    chain.push(samplers.greedy());
  } else {
    if (o.topK > 0) chain.push(samplers.topK(o.topK));
    chain.push(samplers.topP(o.topP), samplers.minP(o.minP));
    chain.push(samplers.temperature(o.temperature), samplers.distribution(o.seed));
  }
  const sampler = new SamplerChain(nVocab, chain);
  return {
    sample(logits) {
      requireFinite(logits);
      return sampler.sample(logits);
    },
    [Symbol.dispose]: () => {
      sampler[Symbol.dispose]();
    },
  };
}

/**
 * The most likely token; the lowest id wins a tie, as in libllama.
 *
 * @throws `NATIVE` on logits that are no finite numbers
 */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let most = -Infinity;
  // Stays 0 as long as all are finite.
  let check = 0;
  // Four at a time take less time than one at a time: a vocabulary may have a quarter of a million.
  for (let i = 0; i < logits.length; i += 4) {
    const a = logits[i] as number;
    const b = logits[i + 1] ?? a;
    const c = logits[i + 2] ?? a;
    const d = logits[i + 3] ?? a;
    check += (a + b + c + d) * 0;
    if (a <= most && b <= most && c <= most && d <= most) continue;
    for (let at = i; at < Math.min(i + 4, logits.length); at++) {
      const logit = logits[at] as number;
      if (logit > most) {
        most = logit;
        best = at;
      }
    }
  }
  if (check !== 0) throw notFinite(logits);
  return best;
}

function requireFinite(logits: Float32Array): void {
  let check = 0;
  for (let i = 0; i < logits.length; i++) check += (logits[i] as number) * 0;
  if (check !== 0) throw notFinite(logits);
}

/** No token can be chosen by logits that are no finite numbers. */
function notFinite(logits: Float32Array): PyramidKVError {
  const bad = logits.findIndex((x) => !Number.isFinite(x));
  return new PyramidKVError(
    "NATIVE",
    `the model's logits are not finite (${logits[bad]} for token ${bad}): a weight is damaged or a value overflowed; check the file, or try --kernels ggml`,
  );
}

const greedy: Sampler = { sample: argmax, [Symbol.dispose]: () => undefined };

/** Fills in defaults and checks every value; throws `USAGE` with the value and the limit. */
export function checkSampling(given: SamplingOptions): Required<SamplingOptions> {
  for (const [name, spec] of Object.entries(SAMPLING_OPTIONS)) {
    const value = given[name as keyof SamplingOptions];
    if (value !== undefined) checkOption(name, spec, value);
  }
  const { logitBias = {} } = given;
  if (![Object.prototype, null].includes(Object.getPrototypeOf(logitBias) as object | null)) {
    throw new PyramidKVError(
      "USAGE",
      `logitBias must be an object of numbers by token id, got ${describeValue(logitBias)}`,
    );
  }
  for (const [id, bias] of Object.entries(logitBias)) {
    requireInteger("logitBias token", Number(id), 0);
    if (!Number.isFinite(bias)) {
      throw new PyramidKVError(
        "USAGE",
        `logitBias of token ${id} must be finite, got ${describeValue(bias)}`,
      );
    }
  }
  return {
    temperature: given.temperature ?? 0,
    topK: given.topK ?? 40,
    topP: given.topP ?? 0.95,
    minP: given.minP ?? 0.05,
    repeatPenalty: given.repeatPenalty ?? 1,
    frequencyPenalty: given.frequencyPenalty ?? 0,
    presencePenalty: given.presencePenalty ?? 0,
    penaltyLastN: given.penaltyLastN ?? 64,
    logitBias,
    seed: given.seed ?? 0,
  };
}
