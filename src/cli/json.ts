import type { ResolvedOptions } from "../compression/options.ts";
import type { Diagnosis } from "../bench/diagnose.ts";
import type { KernelInfo } from "../engine/engine.ts";
import type { KvReport } from "../engine/kv-report.ts";
import type { QualityRow } from "../eval/quality.ts";
import type { ResultRow } from "../eval/run/result-row.ts";
import type { WaySummary } from "../eval/run/summary.ts";
import type { Fit } from "../plan/fit.ts";
import type { MemoryPlan } from "../plan/memory.ts";

/** What `pyramidkv generate --json` prints. */
export interface GenerateJson {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** `interrupted`: Ctrl-C ended the answer. */
  readonly finishReason: "stop" | "length" | "interrupted";
  readonly method: MethodJson;
  /** The cache after the prompt; `endBytes` and `peakBytes` are of the whole run. */
  readonly kv: KvReport & { readonly endBytes: number; readonly peakBytes: number };
  readonly timings: TimingsJson;
  readonly model: ModelJson;
  readonly kernels: KernelInfo;
  readonly memory: MemoryJson;
}

/** A method's name, and every option that has an effect on it. */
export type MethodJson = Partial<Omit<ResolvedOptions, "kvSize">> & {
  readonly name: string;
  /** Null where the method has no size. */
  readonly kvSize: number | null;
};

/** Milliseconds, and tokens a second. */
export interface TimingsJson {
  readonly loadMs: number;
  readonly prefillMs: number;
  readonly compressMs: number;
  readonly decodeMs: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
}

export interface ModelJson {
  readonly name: string;
  readonly architecture: string;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly context: number;
}

/** Bytes of the whole process, not of the cache alone. */
export interface MemoryJson {
  readonly weightBytes: number;
  readonly workspaceBytes: number;
  readonly peakRssBytes: number;
}

/** What `pyramidkv plan --json` prints; all bytes are predicted. */
export interface PlanJson {
  readonly model: Omit<ModelJson, "architecture" | "context"> & {
    /** Layers that methods act on: those that attend and have no sliding window. */
    readonly compressibleLayers: number;
  };
  readonly setting: Partial<ResolvedOptions> & {
    readonly method: string;
    readonly kvType: string;
    readonly context: number;
    readonly newTokens: number;
    readonly batch: number;
    readonly ownKernels: boolean;
  };
  readonly compressed: MemoryPlan;
  readonly full: MemoryPlan;
  /** Share of the full cache that is kept after the prompt. */
  readonly rate: number;
  readonly fit?: { readonly compressed: Fit; readonly full: Fit };
  readonly verdict: string;
}

/** What `pyramidkv methods --json` prints. */
export interface MethodsJson {
  readonly methods: readonly {
    readonly name: string;
    readonly summary: string;
    readonly standing: "recommended" | "paper" | "research";
    readonly ranksBy: string;
    readonly needs: readonly string[];
    readonly budget: string;
    readonly queryAware: boolean;
    readonly options: readonly string[];
    readonly source: string | null;
    readonly deviations: readonly string[];
  }[];
  readonly wrappers: readonly {
    readonly name: string;
    readonly summary: string;
    readonly standing: "recommended" | "paper" | "research";
    readonly argument: string | null;
    readonly source: string | null;
    readonly deviations: readonly string[];
  }[];
}

/** What `pyramidkv models list --json` prints. */
export type ModelsJson = readonly {
  readonly name: string;
  /** Its architecture. */
  readonly family: string;
  readonly summary: string;
  /** `owner/repo[:quant]`, where it comes from the hub. */
  readonly hub: string;
  /** Null where it was not fetched yet. */
  readonly path: string | null;
}[];

/** What `pyramidkv models inspect --json` prints. */
export interface InspectJson {
  readonly path: string;
  readonly bytes: number;
  readonly name: string | null;
  readonly architecture: string | null;
  /** Null where the architecture does not run here. */
  readonly parameters: {
    readonly layers: number;
    readonly width: number;
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly context: number;
    readonly vocabulary: number;
    /** Layers that methods act on: those that attend and have no sliding window. */
    readonly compressibleLayers: number;
    /** Layers that pass on a state instead of attending. */
    readonly recurrentLayers: number;
    /** Layers that attend to the keys and values of earlier ones. */
    readonly sharingLayers: number;
    /** Tokens that layers with a sliding window see; null where there is none. */
    readonly window: number | null;
  } | null;
  /** How many tensors there are of each type. */
  readonly tensors: Readonly<Record<string, number>>;
  readonly tokenizer: string | null;
  readonly chatTemplate: boolean;
}

/** What `pyramidkv eval needle`, `ruler`, `longbench`, `longbench-v2` and `questions` print with `--json`. */
export interface EvalJson {
  /** Samples that were left out, and why. */
  readonly problems: readonly string[];
  readonly lines: readonly Omit<WaySummary, "rows">[];
  readonly rows: readonly ResultRow[];
}

/** What `pyramidkv eval quality --json` prints. */
export interface QualityJson {
  readonly model: string;
  readonly rows: readonly QualityRow[];
}

/** What `pyramidkv doctor --json` prints. */
export type DoctorJson = Diagnosis;

/** A line of a file that `--results` names. */
export type ResultRowJson = ResultRow;
