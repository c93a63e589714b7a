import type {
  AttentionKind,
  HeadEvidence,
  LayerEvidence,
  OutputErrors,
} from "../compression/evidence.ts";
import { PyramidKVError } from "../errors.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { counted } from "./accumulators.ts";
import type { Chunk } from "./chunks.ts";
import type { HeadRun } from "./head-runs.ts";
import type { Observation } from "./observation.ts";

export interface LayerSeen {
  readonly il: number;
  readonly hp: HyperParameters;
  readonly scratch: PrefillScratch;
  readonly observation: Observation;
  readonly runs: readonly HeadRun[];
  /** Rows of the scratch before the new tokens. */
  readonly pastRows: number;
  /** Tokens of the prompt; a probe's come after them and are no evidence's. */
  readonly nPrompt: number;
  readonly futureRotation: Float32Array | undefined;
  /** Per kv head. */
  readonly plainKeys: readonly Float32Array[] | undefined;
  /** Per kv head. */
  readonly outputErrors: readonly OutputErrors[] | undefined;
}

/** What a prefill saw of a layer. Keys, values and statistics are read once, however many methods ask. */
export class PrefillEvidence {
  readonly #read = new Map<string, Float32Array>();
  #statistics: { mean: Float32Array; covariance: Float32Array } | undefined;

  constructor(private readonly seen: LayerSeen) {}

  /** As a method with this observation window sees it. */
  observedBy(window: { readonly of: Chunk["of"]; readonly alpha: number }): LayerEvidence {
    const { il, runs } = this.seen;
    return {
      il,
      heads: runs.flatMap((run) =>
        Array.from({ length: run.nHeadKv }, (_, i) => this.#head(run, run.firstHead + i, window)),
      ),
    };
  }

  #head(
    run: HeadRun,
    kvHead: number,
    { of, alpha }: { readonly of: Chunk["of"]; readonly alpha: number },
  ): HeadEvidence {
    const { hp, scratch, observation, pastRows, nPrompt } = this.seen;
    const n = run.nPast + nPrompt;
    const group = hp.nHead / hp.nHeadKv;
    const firstRow = pastRows - run.nPast;
    const rows = (name: "k" | "v") =>
      this.#once(`${name}${kvHead}`, () => scratch.read(scratch[name], kvHead, firstRow, n));
    return {
      ...{ n, group, headDim: hp.headDim },
      attention: (kind: AttentionKind) => {
        if (kind !== "window") {
          given(observation.accumulated.get(kind), kind);
          return observation.readSums(kind, kvHead, firstRow, n);
        }
        const all = given(observation.windowScores(of, alpha, run), kind);
        const nKv = all.length / (run.nHeadKv * group);
        const first = (kvHead - run.firstHead) * group;
        if (nKv === n) return all.subarray(first * n, (first + group) * n);
        const own = new Float32Array(n * group);
        for (let i = 0; i < group; i++) {
          const at = (first + i) * nKv;
          own.set(all.subarray(at, at + n), i * n);
        }
        return own;
      },
      counted: (kind) => this.#once(`${kind}/${n}`, () => counted(kind, n, nPrompt)),
      keys: () => rows("k"),
      plainKeys: () => given(this.seen.plainKeys?.[kvHead], "plain-keys"),
      values: () => rows("v"),
      queries: () => {
        const { mean, covariance } = (this.#statistics ??= given(
          observation.querySums,
          "queries",
        ).read());
        const first = kvHead * group * hp.headDim;
        const size = group * hp.headDim;
        return {
          mean: mean.subarray(first, first + size),
          covariance: covariance.subarray(first * hp.headDim, (first + size) * hp.headDim),
          futureRotation: given(this.seen.futureRotation, "queries"),
          neox: hp.rope.mode !== 0,
        };
      },
      outputErrors: () => given(this.seen.outputErrors?.[kvHead], "outputs"),
    };
  }

  #once(key: string, read: () => Float32Array): Float32Array {
    const known = this.#read.get(key) ?? read();
    this.#read.set(key, known);
    return known;
  }
}

/** What a method's `needs` must name before it may be asked for. */
function given<T>(value: T | undefined, kind: string): T {
  if (value === undefined) {
    throw new PyramidKVError("USAGE", `the method asks for "${kind}" that its needs do not name`);
  }
  return value;
}
