import type { KvCache } from "../../kvcache/kv-cache.ts";
import type { QueryRing } from "../observe/query-ring.ts";

/** One of the sequences that decode together. */
export interface Sequence {
  readonly cache: KvCache;
  /** Keeps the queries of what is decoded, where it is compressed again. */
  readonly ring?: QueryRing | undefined;
}

/** A sequence's next token. */
export interface DecodeStep extends Sequence {
  readonly token: number;
  readonly position: number;
  /** Receives what follows: f32 [nVocab]. */
  readonly logits: Float32Array;
}

/** What passes from one device to the next, by way of the host. */
export interface StageData {
  /** Hidden states that the layers before gave, f32 [nEmbd, n]; none where the embeddings are looked up first. */
  readonly input: Float32Array | undefined;
  /** One for each sequence: it receives the hidden state f32 [nEmbd], or at the end its logits f32 [nVocab]. */
  readonly outputs: readonly Float32Array[];
}

/** Computes some layers of a step: each token is written behind its sequence's cache, and attends to that. */
export interface DecodeGraph extends Disposable {
  /** @returns milliseconds spent inside ggml */
  step(steps: readonly DecodeStep[], data: StageData): Promise<number>;
}

/** Notes in its cache and its ring that a step's token was appended. */
export function noteAppended({ cache, ring, position }: DecodeStep): void {
  for (const layer of cache.layers) for (const head of layer.heads) head.append(position);
  ring?.stepped(position);
}
