import { PyramidKVError } from "../../errors.ts";
import type { EvidenceKind, HeadEvidence, LayerEvidence } from "../evidence.ts";
import type { Method } from "../method.ts";
import { ofMethod, type Wrapper } from "../wrapper.ts";

export const sampled: Wrapper = {
  summary: "sums the attention of a quarter of the prompt's tokens instead of all",
  standing: "research",
  wrap: ofMethod(bySample),
};

/** A quarter of the queries: the last 64 of every 256. A sixteenth lost 30 % more (docs/log.md). */
const SAMPLED = { sums: "sampled-sums", "far-sums": "sampled-far-sums" } as const;

type Summed = keyof typeof SAMPLED;

const isSummed = (kind: string): kind is Summed => kind in SAMPLED;
const sampledKind = <K extends EvidenceKind>(kind: K): K | (typeof SAMPLED)[Summed] =>
  isSummed(kind) ? SAMPLED[kind] : kind;

/** The same method by the attention of a sample of the prompt's tokens, where it sums that of all. */
function bySample(method: Method): Method {
  if (!method.needs.some(isSummed)) {
    throw new PyramidKVError(
      "USAGE",
      `sampled needs sums over all queries, ${method.name} has none`,
    );
  }
  const sampledHead = (head: HeadEvidence): HeadEvidence => ({
    ...head,
    attention: (kind) => head.attention(sampledKind(kind)),
    counted: (kind) => head.counted(sampledKind(kind)),
  });
  const layerSeen = ({ il, heads }: LayerEvidence) => ({ il, heads: heads.map(sampledHead) });
  return {
    ...method,
    needs: method.needs.map(sampledKind),
    score: (layer, options) => method.score(layerSeen(layer), options),
  };
}
