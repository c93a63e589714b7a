import { PyramidKVError } from "../errors.ts";
import type { Device } from "../ggml/device.ts";
import type { Operations } from "../ggml/operations/operations.ts";
import { NativeOwner } from "../ggml/owner.ts";
import type { GgufFile } from "../gguf/file.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import type { TransformerGraph } from "./architecture.ts";
import { architectureOf } from "./architectures.ts";
import { ignoredKeys, type HyperParameters } from "./hyper-parameters.ts";
import type { LayerShape } from "./layer-shape.ts";
import { stagesOf, type Placement, type Stage } from "./placement.ts";
import { planWeights, type PlannedWeight } from "./weight-plan.ts";
import { transformerGraph } from "./transformer.ts";
import { WeightStore, type LoadOptions } from "./weights.ts";

/** A layer's numbers, where it is computed, and its sink logits as the tensor that holds them. */
export interface ModelLayer extends Omit<LayerShape, "sinkLogits"> {
  /** Computes the layer and holds its cache. */
  readonly device: Device;
  /** f32 [nHead] */
  readonly sinkLogits?: Tensor | undefined;
  /** What its heads are computed with. */
  readonly operations: Operations;
}

export interface ModelOptions extends LoadOptions {
  /** Tokens that sequences may have, at most what the model was trained for. */
  readonly context?: number | undefined;
}

/** A loaded model: its numbers, its weights, and the graph pieces that use them. */
export class Model extends NativeOwner {
  readonly hp: HyperParameters;
  readonly graph: TransformerGraph;
  readonly layers: readonly ModelLayer[];
  /** What of it runs where, in the order of a step. */
  readonly stages: readonly Stage[];
  readonly #store: WeightStore;

  /** What the file asks for and is not done, in sentences. */
  readonly warnings: readonly string[];

  private constructor(
    readonly placement: Placement,
    hp: HyperParameters,
    graph: TransformerGraph,
    store: WeightStore,
    warnings: readonly string[],
  ) {
    super();
    this.hp = hp;
    this.graph = graph;
    this.layers = hp.layers.map((layer, il) => {
      const device = placement.device(il);
      const sinkLogits = graph.sinkLogits(il);
      return { ...layer, device, sinkLogits, operations: device.operationsFor(layer) };
    });
    this.stages = stagesOf(placement, hp.nLayer);
    this.#store = store;
    this.warnings = warnings;
  }

  /** Whether the heads of every layer are computed by operations of ours. */
  get hasKernels(): boolean {
    return areOurs(this.layers);
  }

  get weightBytes(): number {
    return this.#store.bytes;
  }

  /** Checks the file against its architecture, then loads its weights. */
  static async load(
    placement: Placement,
    file: GgufFile,
    options: ModelOptions = {},
  ): Promise<Model> {
    const architecture = architectureOf(file.metadata);
    const hp = limited(architecture.hyperParameters(file.metadata), options.context);
    requireTogether(placement, hp);
    const plan = planWeights(architecture, hp, file.tensors);
    const warnings = [...ignoredKeys(file.metadata, hp), ...factorsInUse(hp, plan)];
    const store = await WeightStore.load(placement, file, plan, hp.nLayer, options);
    return new Model(placement, hp, transformerGraph(hp, store.weights), store, warnings);
  }

  protected release(): void {
    this.#store[Symbol.dispose]();
  }
}

/** Whether the heads of all these layers are computed by operations of ours. */
export function areOurs(layers: readonly ModelLayer[]): boolean {
  return layers.every(({ operations }) => operations.decode !== undefined);
}

/** Layers that share keys and values, or read tokens' embeddings for themselves, read them where they are. */
function requireTogether(placement: Placement, { layers, nEmbdPerLayer = 0 }: HyperParameters) {
  const shares = layers.some(({ sharesKvOf }) => sharesKvOf !== undefined);
  const parts = stagesOf(placement, layers.length).filter(({ first, end }) => end > first);
  if ((!shares && nEmbdPerLayer === 0) || parts.length === 1) return;
  throw new PyramidKVError(
    "UNSUPPORTED",
    `the model's layers ${shares ? "share keys and values" : "read embeddings for themselves"}, which no two devices can do; put all of them on one`,
  );
}

/** The model with a shorter context. */
function limited(hp: HyperParameters, context: number | undefined): HyperParameters {
  if (context === undefined) return hp;
  if (context <= hp.nCtx) return { ...hp, nCtx: context };
  throw new PyramidKVError(
    "USAGE",
    `context is ${context}; the model was trained for ${hp.nCtx} tokens, which is the most`,
  );
}

/** Which of two sets of rotation factors is used, in a sentence, where the file has both. */
function factorsInUse({ nCtx, ropes }: HyperParameters, plan: readonly PlannedWeight[]): string[] {
  if (!plan.some(({ field }) => field === "longRopeFactors")) return [];
  const nCtxOrig = ropes[0]?.nCtxOrig ?? nCtx;
  return nCtx > nCtxOrig
    ? [
        `the context is ${nCtx} tokens, so heads are rotated with the factors for long ones; a context of up to ${nCtxOrig} takes those for short ones`,
      ]
    : [`the context is ${nCtx} tokens, so heads are rotated with the factors for short ones`];
}
