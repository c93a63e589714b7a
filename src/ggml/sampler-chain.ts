import { koffi, viewNative, type Pointer } from "./ffi.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";

/** A sampler of libllama, before it joins a chain. */
export type NativeSampler = Pointer & { readonly __sampler?: true };

/** `llama_token_data`: id (i32), logit (f32), p (f32). */
const CANDIDATE_WORDS = 3;
/** `llama_token_data_array`: data (pointer), size (u64), selected (i64), sorted (bool), padding. */
const ARRAY_BYTES = 32;

/** Builds the samplers of a chain from libllama's own. */
export const samplers = {
  greedy: (): NativeSampler => native().llama.initGreedy(),
  distribution: (seed: number): NativeSampler => native().llama.initDist(seed),
  topK: (k: number): NativeSampler => native().llama.initTopK(k),
  topP: (p: number): NativeSampler => native().llama.initTopP(p, 1),
  minP: (p: number): NativeSampler => native().llama.initMinP(p, 1),
  temperature: (t: number): NativeSampler => native().llama.initTemp(t),
  penalties: (
    nVocab: number,
    lastN: number,
    repeat: number,
    frequency: number,
    presence: number,
  ): NativeSampler => native().llama.initPenalties(nVocab, lastN, repeat, frequency, presence),
  logitBias(nVocab: number, biases: readonly (readonly [number, number])[]): NativeSampler {
    const bytes = new DataView(new ArrayBuffer(biases.length * 8));
    biases.forEach(([token, bias], i) => {
      bytes.setInt32(i * 8, token, true);
      bytes.setFloat32(i * 8 + 4, bias, true);
    });
    return native().llama.initLogitBias(nVocab, biases.length, new Uint8Array(bytes.buffer));
  },
};

/** A chain of libllama's samplers over a vocabulary; the last one must pick a token. */
export class SamplerChain extends NativeOwner {
  readonly #chain: Pointer;
  readonly #candidates: Pointer;
  readonly #array: Pointer;
  readonly #ids: Int32Array;
  readonly #logits: Float32Array;
  readonly #header: DataView;

  constructor(
    private readonly nVocab: number,
    chain: readonly NativeSampler[],
  ) {
    super();
    const { llama } = native();
    this.#chain = llama.chainInit({ no_perf: true });
    for (const sampler of chain) llama.chainAdd(this.#chain, sampler);
    const bytes = nVocab * CANDIDATE_WORDS * 4;
    this.#candidates = koffi.alloc("uint8_t", bytes) as Pointer;
    this.#array = koffi.alloc("uint8_t", ARRAY_BYTES) as Pointer;
    const words = viewNative(this.#candidates, bytes);
    this.#ids = new Int32Array(words);
    this.#logits = new Float32Array(words);
    this.#header = new DataView(viewNative(this.#array, ARRAY_BYTES));
  }

  /** Picks a token and tells the chain, which penalties remember. */
  sample(logits: Float32Array): number {
    this.assertAlive();
    for (let i = 0, at = 0; i < this.nVocab; i++, at += CANDIDATE_WORDS) {
      this.#ids[at] = i;
      this.#logits[at + 1] = logits[i] as number;
    }
    this.#header.setBigUint64(0, koffi.address(this.#candidates), true);
    this.#header.setBigUint64(8, BigInt(this.nVocab), true);
    this.#header.setBigInt64(16, -1n, true);
    this.#header.setUint8(24, 0);
    const { llama } = native();
    llama.samplerApply(this.#chain, this.#array);
    const selected = Number(this.#header.getBigInt64(16, true));
    const token = this.#ids[selected * CANDIDATE_WORDS] as number;
    llama.samplerAccept(this.#chain, token);
    return token;
  }

  protected release(): void {
    native().llama.samplerFree(this.#chain);
    koffi.free(this.#candidates);
    koffi.free(this.#array);
  }
}
