import type { LayerEvidence, OutputErrors, QueryStatistics } from "../../compression/evidence.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import { counted } from "./accumulators.ts";
import { evidenceOf, type GatheredHead } from "./evidence.ts";
import type { Observation } from "./observation.ts";
import type { ObservedWindow } from "./target.ts";

/** A layer that a prefill read, and what is computed of it besides what its observation holds. */
export interface LayerSeen {
  /** Which of the layers that methods act on. */
  readonly il: number;
  readonly observation: Observation;
  /** Tokens of the prompt; a probe's come after them and are no evidence's. */
  readonly nPrompt: number;
  /** Mean rotation of the positions to come. */
  readonly futureRotation: Float32Array | undefined;
  /** Per kv head. */
  readonly plainKeys: readonly Float32Array[] | undefined;
  /** Per kv head. */
  readonly outputErrors: readonly OutputErrors[] | undefined;
}

/** What a prefill saw of a layer. Keys, values and statistics are read once, however many windows there are. */
export class PrefillEvidence {
  readonly #rows = new Map<string, Float32Array>();
  #statistics: { mean: Float32Array; covariance: Float32Array } | undefined;

  constructor(private readonly layer: LayerSeen) {}

  /** The evidence that a method with this observation window sees. */
  observedBy(window: ObservedWindow): LayerEvidence {
    const { il, observation } = this.layer;
    const { headDim, nHead, nHeadKv } = observation.layer.shape;
    return evidenceOf({
      il,
      headDim,
      group: nHead / nHeadKv,
      heads: Array.from({ length: nHeadKv }, (_, kvHead) => this.#head(kvHead, window)),
      missing: (kind) => `the method asks for "${kind}" that its needs do not name`,
    });
  }

  #head(kvHead: number, window: ObservedWindow): GatheredHead {
    const { observation, nPrompt } = this.layer;
    const { scratch } = observation.layer;
    const n = scratch.runOf(kvHead).nPast + nPrompt;
    const rows = (of: "k" | "v") =>
      this.#once(`${of}${kvHead}`, () => scratch.read(of, kvHead, 0, n));
    return {
      n,
      attention: (kind) =>
        kind === "window"
          ? observation.windows.ofHead(window, kvHead, n)
          : observation.sums.ofHead(kind, kvHead, n),
      counted: (kind) => this.#once(`${kind}/${n}`, () => counted(kind, n, nPrompt)),
      keys: () => rows("k"),
      plainKeys: () => this.layer.plainKeys?.[kvHead],
      values: () => rows("v"),
      queries: () => this.#queries(kvHead),
      outputErrors: () => this.layer.outputErrors?.[kvHead],
    };
  }

  #queries(kvHead: number): QueryStatistics | undefined {
    const { observation, futureRotation } = this.layer;
    if (observation.querySums === undefined || futureRotation === undefined) return undefined;
    const { mean, covariance } = (this.#statistics ??= observation.querySums.read());
    const { headDim, nHead, nHeadKv, rope } = observation.layer.shape;
    const size = (nHead / nHeadKv) * headDim;
    const first = kvHead * size;
    return {
      mean: mean.subarray(first, first + size),
      covariance: covariance.subarray(first * headDim, (first + size) * headDim),
      futureRotation,
      neox: rope.mode === ROPE_NEOX,
      rotated: rope.dims,
    };
  }

  #once(key: string, read: () => Float32Array): Float32Array {
    const rows = this.#rows.get(key) ?? read();
    this.#rows.set(key, rows);
    return rows;
  }
}
