import { PyramidKVError } from "../errors.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import { arrayNumbers } from "../gguf/value.ts";

/** Upper bounds, far above any published model (Llama 3.1 405B: 126 layers, width 16,384, 128 heads). */
export const MAX = {
  layers: 512, // libllama's LLAMA_MAX_LAYERS
  width: 262_144,
  feedForward: 2_097_152,
  heads: 1_024,
  headDim: 1_024,
  context: 2 ** 28,
  vocabulary: 2 ** 24,
  experts: 512, // libllama's LLAMA_MAX_EXPERTS
  taps: 64,
};

/** The keys `<architecture>.*` of a file, checked as they are read. */
export class FileKeys {
  constructor(
    readonly metadata: Metadata,
    readonly architecture: string,
    /** Whether layers may differ in what some files give for each layer. */
    private readonly layersDiffer = false,
  ) {}

  key(name: string): string {
    return `${this.architecture}.${name}`;
  }

  /** A whole number from `min` on, or undefined where the key is absent. */
  whole(name: string, max: number, min = 0): number | undefined {
    return this.metadata.integer(this.key(name), min, max);
  }

  /** A number above 0: ggml aborts on a negative epsilon, and a negative scale has no logarithm. */
  positive(name: string): number | undefined {
    const value = this.metadata.number(this.key(name));
    if (value !== undefined && !(value > 0)) {
      throw new PyramidKVError(
        "BAD_FILE",
        `${this.key(name)} is ${value}, a number above 0 was expected`,
      );
    }
    return value;
  }

  /** A number where 0 stands for none; `usual` where the key is absent. */
  positiveOrNone(name: string, usual?: number): number | undefined {
    const key = this.key(name);
    if (!this.metadata.has(key)) return usual;
    return this.metadata.number(key) === 0 ? undefined : this.positive(name);
  }

  text(name: string): string | undefined {
    return this.metadata.string(this.key(name));
  }

  /** A number from 1 on of each of `n` layers, which most files give once. */
  perLayer(name: string, max: number, n: number): number[] {
    const key = this.key(name);
    const values = this.#perLayer(name);
    const single = () => this.required(name, this.metadata.integer(key, 1, max));
    const all = values ?? new Array<number>(n).fill(single());
    const bad = all.find((value) => !Number.isInteger(value) || value < 1 || value > max);
    if (all.length === n && bad === undefined) return all;
    throw new PyramidKVError(
      "BAD_FILE",
      bad === undefined
        ? `${key} has ${all.length} entries for ${n} layers`
        : `${key} is ${bad} in one layer, not 1 to ${max}`,
    );
  }

  /** A number from 1 on that some files give for each layer; layers that differ are refused, not averaged, unless they may. */
  wholePerModel(name: string, max: number): number | undefined {
    const key = this.key(name);
    const values = this.#perLayer(name);
    if (values === undefined) return this.metadata.integer(key, 1, max);
    return this.#equal(key, this.layersDiffer ? values.slice(0, 1) : values, max);
  }

  /** The same where it may be 0 in some layers: the number of the others, and which of `n` layers these are. */
  wholeWhereNotZero(name: string, max: number, n: number): { value: number; has: boolean[] } {
    const values = this.#perLayer(name);
    const key = this.key(name);
    if (values === undefined) {
      const value = this.required(name, this.metadata.integer(key, 1, max));
      return { value, has: new Array<boolean>(n).fill(true) };
    }
    const value = this.#equal(
      key,
      values.filter((x) => x !== 0),
      max,
    );
    if (values.length === n) return { value, has: values.map((x) => x !== 0) };
    throw new PyramidKVError("BAD_FILE", `${key} has ${values.length} entries for ${n} layers`);
  }

  #perLayer(name: string): number[] | undefined {
    const key = this.key(name);
    const entry = this.metadata.entries.get(key);
    return entry?.type === "array" ? arrayNumbers(entry, key) : undefined;
  }

  #equal(key: string, all: readonly number[], max: number): number {
    const values = new Set(all);
    const [first] = values;
    if (values.size !== 1 || first === undefined) {
      throw new PyramidKVError("UNSUPPORTED", `${key} differs between layers`);
    }
    if (!Number.isInteger(first) || first < 1 || first > max) {
      throw new PyramidKVError("BAD_FILE", `${key} is ${first} in each layer, not 1 to ${max}`);
    }
    return first;
  }

  /**
   * Which of `n` layers have a sliding window. The file says it layer by layer, or says of how many in a row all but the
   * last one have it; `period` where it says nothing.
   */
  windowPattern(n: number, period: number): readonly boolean[] {
    const name = "attention.sliding_window_pattern";
    const entry = this.metadata.entries.get(this.key(name));
    if (entry?.type === "array") {
      const flags = arrayNumbers(entry, this.key(name));
      if (flags.length === n) return flags.map((flag) => flag !== 0);
      throw new PyramidKVError(
        "BAD_FILE",
        `${this.key(name)} has ${flags.length} entries for ${n} layers`,
      );
    }
    const every = this.whole(name, MAX.layers) ?? period;
    return Array.from({ length: n }, (_, il) => every === 0 || il % every < every - 1);
  }

  /** Tokens that a layer with a sliding window sees, its own included; none where it is 0, `usual` where the key is absent. */
  window(usual?: number): number | undefined {
    const window = this.whole("attention.sliding_window", MAX.context) ?? usual;
    return window === 0 ? undefined : window;
  }

  required<T>(name: string, value: T | undefined): T {
    return required(value, this.key(name));
  }
}
