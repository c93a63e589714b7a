import { expect } from "vitest";
import { definedOnly } from "../../src/cli/options.ts";
import { BudgetPlan } from "../../src/compression/budgets/plan.ts";
import type { LayerEvidence } from "../../src/compression/evidence.ts";
import { keepTokens } from "../../src/compression/keep.ts";
import type { CompressionOptions } from "../../src/compression/compression-options.ts";
import { resolveCompression, type Compression } from "../../src/compression/resolve.ts";

/** One selection that another implementation made (`test/golden/README.md`). */
export interface GoldenCase {
  readonly name: string;
  readonly lib: string;
  readonly granularity?: string;
  readonly params: {
    readonly window?: number;
    readonly capacity?: number;
    readonly kept?: number;
    readonly kernel?: number;
    readonly pooling?: string;
    readonly gqa?: string;
    readonly beta?: number;
    readonly layers?: number;
    readonly layer?: number;
    readonly n_sink?: number;
    readonly lag_size?: number;
    readonly floor_ratio?: number;
    readonly alpha_safeguard?: number;
    readonly compression_ratio?: number;
  };
  readonly kept: readonly (readonly number[])[];
  readonly ties?: readonly { readonly tied: readonly number[] }[];
}

type Params = GoldenCase["params"];
type Asked = { readonly [K in keyof CompressionOptions]?: CompressionOptions[K] | undefined };

/** Each method of theirs as one of ours, by library and name; those that are not here we do not have. */
const OURS: Readonly<Record<string, (p: Params) => Asked>> = {
  "KVCache-Factory/SnapKV": (p) => ({ method: "snapkv", ...factory(p) }),
  "KVCache-Factory/PyramidKV": (p) => ({ method: "pyramidkv", ...factory(p), beta: p.beta }),
  "KVCache-Factory/H2O": (p) => ({ method: "h2o", window: p.window, kvSize: p.capacity }),
  "KVCache-Factory/StreamingLLM": (p) => ({
    method: "streaming-llm",
    kvSize: p.capacity,
    sinks: (p.capacity ?? 0) - (p.window ?? 0),
  }),
  "KVCache-Factory/AdaKV": (p) => ({ method: `ada:${p.floor_ratio}(snapkv)`, ...factory(p) }),
  "kvpress/SnapKV": (p) => ({ method: "snapkv", ...press(p) }),
  "kvpress/PyramidKV": (p) => ({ method: "pyramidkv", ...press(p), beta: p.beta }),
  "kvpress/AdaKV(SnapKV)": (p) => ({ method: `ada:${p.alpha_safeguard}(snapkv)`, ...press(p) }),
  "kvpress/ObservedAttention": (p) => ({ method: "observed-attention", kvSize: p.kept, window: 0 }),
  "kvpress/Knorm": (p) => ({ method: "knorm", kvSize: p.kept }),
  "kvpress/KeyDiff": (p) => ({ method: "keydiff", kvSize: p.kept }),
  "kvpress/StreamingLLM": (p) => ({ method: "streaming-llm", kvSize: p.kept, sinks: p.n_sink }),
  "kvpress/TOVA": (p) => ({ method: "tova", kvSize: p.kept }),
  "kvpress/LagKV": (p) => ({ method: "lagkv", kvSize: p.kept, sinks: p.n_sink, lag: p.lag_size }),
};

function factory(p: Params): Asked {
  return {
    preset: "kvcache-factory",
    kvSize: p.capacity,
    window: p.window,
    alpha: p.window,
    kernel: p.kernel,
    pool: p.pooling?.replace("pool", ""),
    // A sum over the group ranks tokens as the mean does.
    gqa: p.gqa === "sum" ? "mean" : p.gqa,
  };
}

function press(p: Params): Asked {
  const kvSize = p.kept ?? Math.round(N_RANDOM * (1 - (p.compression_ratio ?? 0)));
  return { preset: "kvpress", kvSize, window: p.window, alpha: p.window, kernel: p.kernel };
}

/** Tokens of the random tensors, which kvpress's ratios are of. */
const N_RANDOM = 200;

const keyOf = ({ lib, name }: GoldenCase) => `${lib}/${name}`;

/** Whether it is what we do: one selection per kv head, by a method of ours. */
export function isOurs(golden: GoldenCase): boolean {
  return golden.granularity !== "query_head" && keyOf(golden) in OURS;
}

export function compressionOf(golden: GoldenCase): Compression {
  const options = (OURS[keyOf(golden)] as (p: Params) => Asked)(golden.params);
  return resolveCompression(definedOnly(options));
}

/** What our method keeps of each head's tokens, with all layers alike. */
export function keptOf(golden: GoldenCase, evidence: LayerEvidence): number[][] {
  const compression = compressionOf(golden);
  const { method, options } = compression;
  const { layers = 1, layer = 0 } = golden.params;
  const nTokens = evidence.heads[0]?.n ?? 0;
  const shape = { nLayer: layers, nHeadKv: evidence.heads.length, nTokens };
  const plan = new BudgetPlan(compression, shape);
  const rankings = method.score(evidence, options);
  const budgets = plan.add(layer, { evidence, rankings })[layer] ?? [];
  return evidence.heads.map(({ n }, h) =>
    Array.from(keepTokens(rankings[h] ?? null, n, budgets[h] ?? 0, options)),
  );
}

/** Ours is theirs, but for tokens that tie with the last one kept. */
export function expectGolden(golden: GoldenCase, ours: readonly (readonly number[])[]): void {
  golden.kept.forEach((theirs, head) => {
    const tied = new Set(golden.ties?.[head]?.tied ?? []);
    const firm = (list: readonly number[]) => list.filter((i) => !tied.has(i));
    expect(firm(ours[head] ?? [])).toEqual(firm(theirs));
    expect(ours[head]).toHaveLength(theirs.length);
  });
}
