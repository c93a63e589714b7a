import type {
  AttentionKind,
  EvidenceKind,
  HeadEvidence,
  LayerEvidence,
  OutputErrors,
  QueryStatistics,
  SummedKind,
} from "../../compression/evidence.ts";
import { PyramidKVError } from "../../errors.ts";

/** What was gathered of a kv head: undefined is what was not. */
export interface GatheredHead {
  /** Tokens that the head holds. */
  readonly n: number;
  /** [n, group] */
  attention(kind: AttentionKind): Float32Array | undefined;
  /** [n] */
  counted(kind: SummedKind): Float32Array;
  /** [headDim, n] each */
  keys(): Float32Array | undefined;
  plainKeys(): Float32Array | undefined;
  values(): Float32Array | undefined;
  queries(): QueryStatistics | undefined;
  outputErrors(): OutputErrors | undefined;
}

/** What was gathered of a layer, in a prefill or while decoding. */
export interface GatheredLayer {
  /** Which of the layers that methods act on. */
  readonly il: number;
  readonly headDim: number;
  /** Query heads of a kv head. */
  readonly group: number;
  readonly heads: readonly GatheredHead[];
  /** Says that a method asks for what was not gathered. */
  readonly missing: (kind: EvidenceKind) => string;
}

/** What was gathered as methods see it: read once, however many ask, and an error where it was not. */
export function evidenceOf(layer: GatheredLayer): LayerEvidence {
  const { il, headDim, group, heads } = layer;
  return {
    il,
    heads: heads.map((head): HeadEvidence => {
      const read = new Map<string, unknown>();
      const once = <T>(key: string, kind: EvidenceKind, get: () => T | undefined): T => {
        const value = (read.get(key) as T | undefined) ?? get();
        if (value === undefined) throw new PyramidKVError("USAGE", layer.missing(kind));
        read.set(key, value);
        return value;
      };
      return {
        n: head.n,
        group,
        headDim,
        attention: (kind) => once(kind, kind, () => head.attention(kind)),
        counted: (kind) => once(`counted ${kind}`, kind, () => head.counted(kind)),
        keys: () => once("keys", "keys", () => head.keys()),
        plainKeys: () => once("plain-keys", "plain-keys", () => head.plainKeys()),
        values: () => once("values", "values", () => head.values()),
        queries: () => once("queries", "queries", () => head.queries()),
        outputErrors: () => once("outputs", "outputs", () => head.outputErrors()),
      };
    }),
  };
}
