import { PyramidKVError } from "../errors.ts";
import type { RopeParameters } from "../ggml/graph.ts";
import { ROPE_NORM } from "../ggml/operations/nodes.ts";
import { arrayNumbers } from "../gguf/value.ts";
import { MAX, type FileKeys } from "./file-keys.ts";

/** No rotation. */
export const NO_ROPE: RopeParameters = {
  dims: 0,
  mode: ROPE_NORM,
  nCtxOrig: 1,
  freqBase: 1,
  freqScale: 1,
  extFactor: 0,
  attnFactor: 1,
  betaFast: 0,
  betaSlow: 0,
};

const SCALINGS = ["none", "linear", "yarn", "longrope"];

/** RoPE with its scaling, as llama.cpp resolves it (`llama_context`, `load_hparams`). */
export function readRope(
  keys: FileKeys,
  {
    headDim,
    mode,
    nCtx,
    rotatesInSections = false,
  }: {
    readonly headDim: number;
    readonly mode: number;
    readonly nCtx: number;
    readonly rotatesInSections?: boolean;
  },
): RopeParameters {
  const number = (name: string) => keys.positive(`rope.${name}`);
  const dims = readRopeDims(keys, headDim);
  const key = keys.key("rope.dimension_sections");
  const entry = keys.metadata.array(key);
  const sections = entry === undefined ? [] : arrayNumbers(entry, key);
  const isPlain = rotatesInSections
    ? coversAll(sections, dims / 2)
    : sections.every((n) => n === 0);
  if (!isPlain) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      rotatesInSections
        ? `${key} is ${sections.join(", ")}: some of the ${dims / 2} pairs belong to no place of a text token`
        : `${key}: rotation in sections is for models that see pictures, which is not there yet`,
    );
  }
  const scaling = keys.text("rope.scaling.type") ?? "linear";
  if (!SCALINGS.includes(scaling)) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `rope scaling "${scaling}" is not supported; ${SCALINGS.join(", ")} are`,
    );
  }
  const factor =
    keys.positiveOrNone("rope.scaling.factor") ?? keys.positiveOrNone("rope.scale_linear") ?? 1;
  const freqScale = scaling === "none" ? 1 : 1 / factor;
  const isYarn = scaling === "yarn";
  return {
    dims,
    mode,
    nCtxOrig: keys.whole("rope.scaling.original_context_length", MAX.context, 1) ?? nCtx,
    freqBase: number("freq_base") ?? 10_000,
    freqScale,
    extFactor: isYarn ? 1 : 0,
    attnFactor:
      (isYarn ? yarnLength(keys, 1 / freqScale) : 1) * (number("scaling.attn_factor") ?? 1),
    betaFast: number("scaling.yarn_beta_fast") ?? 32,
    betaSlow: number("scaling.yarn_beta_slow") ?? 1,
  };
}

/** Dimensions of a head that are rotated; `of` ends the name of the key that says it of layers with a window. */
export function readRopeDims(keys: FileKeys, headDim: number, of = ""): number {
  const name = `rope.dimension_count${of}`;
  const dims = keys.whole(name, MAX.headDim, 1) ?? headDim;
  if (dims <= headDim && dims % 2 === 0) return dims;
  throw new PyramidKVError(
    "BAD_FILE",
    `${keys.key(name)} is ${dims}, an even number up to the head size ${headDim} was expected`,
  );
}

/** What YaRN multiplies queries and keys by, without what ggml multiplies by itself: 1 + 0.1 ln(factor). */
function yarnLength(keys: FileKeys, factor: number): number {
  const length = (weight: number) => (factor <= 1 ? 1 : 1 + 0.1 * weight * Math.log(factor));
  const ofAll = keys.positiveOrNone("rope.scaling.yarn_log_multiplier");
  const wanted = ofAll === undefined ? length(1) : length(1) / length(ofAll);
  return wanted / (1 + 0.1 * Math.log(factor));
}

/**
 * Whether each of `n` pairs turns with a place in time, height or width, in turn while their sections last: text tokens
 * have the same place in all three, and others none in a fourth (ggml, `ggml_mrope_cache_init`).
 */
function coversAll(sections: readonly number[], n: number): boolean {
  const total = sections.reduce((a, b) => a + b, 0);
  return Array.from({ length: n }, (_, pair) => pair % total).every(
    (pair) => pair < 3 * (sections[pair % 3] ?? 0),
  );
}
