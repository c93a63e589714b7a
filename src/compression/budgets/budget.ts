import type { EvidenceKind, LayerEvidence } from "../evidence.ts";
import type { Ranking } from "../ranking.ts";
import type { ResolvedOptions } from "../options.ts";

export interface BudgetInput {
  /** Layers that methods act on: those without a sliding window. */
  readonly nLayer: number;
  readonly nHeadKv: number;
  /** Tokens that could be kept; more than `options.kvSize`. */
  readonly nTokens: number;
  readonly options: ResolvedOptions;
}

/** A layer after its prefill: what was seen of it, and how its heads rank their tokens. */
export interface RankedLayer {
  readonly evidence: LayerEvidence;
  readonly rankings: readonly (Ranking | null)[];
}

interface Named {
  readonly name: string;
  /** A sentence for help and docs. */
  readonly summary: string;
  readonly needs?: readonly EvidenceKind[];
}

/**
 * How the tokens that are kept are divided over layers and kv heads, the sinks and the window included.
 * What a policy needs to know decides its kind.
 */
export type BudgetPolicy =
  /** Tokens per layer, in each of its kv heads, known before the prompt is read. */
  | (Named & { readonly kind: "layers"; layers(input: BudgetInput): number[] })
  /** The same per layer and kv head. */
  | (Named & { readonly kind: "heads"; heads(input: BudgetInput): number[][] })
  /** A layer's tokens, known before, are divided over its kv heads once those ranked theirs. */
  | (Named & {
      readonly kind: "split";
      layers(input: BudgetInput): number[];
      /** Tokens per kv head that sum to `total`; heads hold `evidence.heads[h].n`. */
      split(layer: RankedLayer, total: number, input: BudgetInput): number[];
    })
  /** All layers share one total by weights that are known layer by layer: earlier layers are cut again. */
  | (Named & {
      readonly kind: "weighed";
      /** A weight per kv head, not negative. */
      weigh(layer: RankedLayer, input: BudgetInput): number[];
      /** Tokens that every kv head gets. */
      least(options: ResolvedOptions): number;
      /** Whether all kv heads of a layer get the same, by the mean of their weights. */
      readonly level?: boolean;
    })
  /** Each layer by what is seen of it; the total is what comes of it. */
  | (Named & {
      readonly kind: "measured";
      measure(layer: RankedLayer, input: BudgetInput): number[];
    });
