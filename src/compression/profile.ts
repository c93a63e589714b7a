import { PyramidKVError } from "../errors.ts";

/** What `pyramidkv calibrate` found of a model's kv heads: how much of the budget each is worth. */
export interface HeadProfile {
  /** Fingerprint of the model it was made with. */
  readonly model: string;
  /** Share of the budget per [layer][kv head]; sums to 1. */
  readonly weights: readonly (readonly number[])[];
  /** Of what the sinks and the window leave, the part that the last queries choose, per [layer][kv head]. */
  readonly shares: readonly (readonly number[])[];
}

/** Checks what a file holds; throws `BAD_FILE` with what is wrong. */
export function parseProfile(json: string, source: string): HeadProfile {
  let value: Partial<HeadProfile>;
  try {
    value = JSON.parse(json) as Partial<HeadProfile>;
  } catch (error) {
    throw new PyramidKVError("BAD_FILE", `${source} is not JSON`, { cause: error });
  }
  const { model, weights, shares } = value;
  const isTable = (t: unknown): t is number[][] =>
    Array.isArray(t) &&
    t.length > 0 &&
    t.every((row) => Array.isArray(row) && row.length === (t[0] as unknown[]).length) &&
    t.flat().every((x) => typeof x === "number" && x >= 0 && Number.isFinite(x));
  if (typeof model !== "string" || !isTable(weights) || !isTable(shares)) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${source} is no profile: model, and weights and shares as tables of numbers, were expected`,
    );
  }
  if (shares.length !== weights.length || shares[0]?.length !== weights[0]?.length) {
    throw new PyramidKVError("BAD_FILE", `${source}: weights and shares differ in size`);
  }
  return { model, weights, shares };
}
