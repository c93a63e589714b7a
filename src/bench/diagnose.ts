import { availableParallelism } from "node:os";
import { requireInteger } from "../errors.ts";
import { SingleOperations } from "../engine/single-operations.ts";
import { chooseKernels, kernelInfo, type KernelInfo } from "../ggml/kernels/choices.ts";
import { kernelLibrary } from "../ggml/kernels/library.ts";
import { NATIVE_VERSION, PLATFORMS } from "../ggml/platform.ts";

/** What `pyramidkv doctor` tells. */
export interface Diagnosis {
  readonly cpu: string;
  readonly threads: number;
  readonly ggml: { readonly package: string; readonly version: string };
  readonly kernels: KernelInfo;
  readonly variants: readonly {
    readonly name: string;
    readonly available: boolean;
    readonly passes?: boolean;
    /** Largest error of each operation's self-test, relative to the size of its results. */
    readonly errors?: Readonly<Record<string, number>>;
  }[];
  readonly speeds: readonly SpeedRow[];
  /** Tokens per second of a model of 135 million 4-bit weights, from the speeds. */
  readonly estimate: { readonly prefill: number; readonly decode: number };
}

interface SpeedRow {
  readonly what: string;
  readonly unit: "GFLOPS" | "GB/s";
  readonly ours: number;
  readonly ggml?: number;
}

const REPETITIONS = 8;
/** SmolLM2-135M: the sizes that the estimate is for. */
const MODEL = { weights: 106e6, outputWeights: 28e6, layers: 30, width: 576, prompt: 2000 };
const ATTENTION = { headDim: 64, nHead: 9, nHeadKv: 3, nQueries: 512, nKv: 2048 };
const MATMUL = { type: "q4_1", k: 576, m: 3072, n: 512 } as const;
/** Larger than most caches, as the weights of a model are. */
const DECODE = { type: "q4_1", k: 576, m: 200_000, n: 1 } as const;

/** Looks at the machine, runs the self-tests and times single operations, in some seconds. */
export async function diagnose(
  options: { readonly threads?: number; readonly kernels?: string },
  onStep?: (done: number, total: number) => void,
): Promise<Diagnosis> {
  const threads = requireInteger("threads", options.threads ?? availableParallelism(), 1, 512);
  const chosen = chooseKernels(options.kernels ?? "auto");
  const { variant } = chosen;
  using ggml = new SingleOperations(threads);
  using operations = variant && new SingleOperations(threads, variant);
  const rows: SpeedRow[] = [];
  const steps = operations === undefined ? 3 : 6;
  let done = 0;
  const measure = async (
    what: string,
    unit: SpeedRow["unit"],
    speed: (on: SingleOperations) => Promise<number>,
  ) => {
    const baseline = await speed(ggml);
    onStep?.(++done, steps);
    if (operations === undefined) {
      rows.push({ what, unit, ours: baseline });
    } else {
      rows.push({ what, unit, ours: await speed(operations), ggml: baseline });
      onStep?.(++done, steps);
    }
  };
  await measure("attention of a prompt", "GFLOPS", async (on) => {
    return (await on.attention(ATTENTION, REPETITIONS)).gflops;
  });
  await measure("matmul of a prompt, q4_1", "GFLOPS", async (on) => {
    return (await on.linear(MATMUL, REPETITIONS)).gflops;
  });
  await measure("weights of a token, q4_1", "GB/s", async (on) => {
    return (await on.linear(DECODE, REPETITIONS)).gigabytes;
  });
  const cpu = ggml.description;
  const library = kernelLibrary();
  const platform = `${process.platform}-${process.arch}`;
  const result = {
    cpu,
    threads,
    speeds: rows,
    estimate: estimate(rows),
    ggml: { package: PLATFORMS[platform] ?? platform, version: NATIVE_VERSION },
    kernels: kernelInfo(chosen),
    variants: (typeof library === "string" ? [] : library.variants).map((v) => ({
      name: v.name,
      available: v.available,
      ...(v.available ? { passes: v.passes(), errors: v.errors() } : {}),
    })),
  };
  return result;
}

function estimate([attention, matmul, weights]: readonly SpeedRow[]): Diagnosis["estimate"] {
  const { prompt, layers, width } = MODEL;
  const attentionFlops = 2 * prompt ** 2 * width * layers; // causal: half of all pairs
  const matmulFlops = 2 * MODEL.weights * prompt;
  const seconds =
    attentionFlops / (attention?.ours ?? NaN) / 1e9 + matmulFlops / (matmul?.ours ?? NaN) / 1e9;
  const bytes = (MODEL.weights * 20) / 32 + MODEL.outputWeights * (34 / 32);
  return { prefill: prompt / seconds, decode: ((weights?.ours ?? NaN) * 1e9) / bytes };
}
