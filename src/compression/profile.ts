import { PyramidKVError, type ErrorCode } from "../errors.ts";

/** What `pyramidkv calibrate` found of a model's kv heads: how much of the budget each is worth. */
export interface HeadProfile {
  /** Fingerprint of the model it was made with. */
  readonly model: string;
  /** Share of the budget per [layer][kv head]; sums to 1. */
  readonly weights: readonly (readonly number[])[];
  /** The part that the last queries choose of what the sinks and the window leave, per [layer][kv head]. */
  readonly shares: readonly (readonly number[])[];
}

/** Checks what a file holds; throws `BAD_FILE` with what is wrong. */
export function parseProfile(json: string, source: string): HeadProfile {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new PyramidKVError("BAD_FILE", `${source} is not JSON`, { cause: error });
  }
  checkProfile(value, source, "BAD_FILE");
  const { model, weights, shares } = value;
  return { model, weights, shares };
}

/** Throws unless a value is a profile, with what is wrong. */
export function checkProfile(
  value: unknown,
  source: string,
  code: ErrorCode,
): asserts value is HeadProfile {
  const { model, weights, shares } = (value ?? {}) as Partial<HeadProfile>;
  const isTable = (t: unknown): t is number[][] =>
    Array.isArray(t) &&
    t.length > 0 &&
    t.every((row) => Array.isArray(row) && row.length === (t[0] as unknown[]).length) &&
    t.flat().every((x) => typeof x === "number" && x >= 0 && Number.isFinite(x));
  if (typeof model !== "string" || !isTable(weights) || !isTable(shares)) {
    throw new PyramidKVError(
      code,
      `${source} is no profile: model, and weights and shares as tables of numbers, were expected`,
    );
  }
  if (shares.length !== weights.length || shares[0]?.length !== weights[0]?.length) {
    throw new PyramidKVError(code, `${source}: weights and shares differ in size`);
  }
}

/** What is lost where a head is starved: mean divergence from the full cache, mean −log p of hidden numbers. */
export interface HeadLoss {
  readonly kl: number;
  readonly nll: number;
}

/** Losses below this are noise. */
const LEAST_NLL = 0.03;

/**
 * A profile from losses, head after head. With a the share of all KL and b that of all −log p: weight
 * (a / 2 + b / 2 + 5e-4)^0.6, share of the last queries 0.1 + 0.8 b / (a + b + 0.004). docs/funnel.md.
 */
export function profileOf(
  model: string,
  losses: readonly HeadLoss[],
  nHeadKv: number,
): HeadProfile {
  const shares = (values: readonly number[]) => {
    const sum = values.reduce((a, b) => a + b, 0);
    return values.map((x) => (sum > 0 ? x / sum : 0));
  };
  const a = shares(losses.map(({ kl }) => Math.max(0, kl)));
  const b = shares(losses.map(({ nll }) => (nll < LEAST_NLL ? 0 : nll)));
  const weights = a.map((x, i) => (0.5 * x + 0.5 * (b[i] as number) + 5e-4) ** 0.6);
  const second = a.map((x, i) => 0.1 + (0.8 * (b[i] as number)) / (x + (b[i] as number) + 0.004));
  const perLayer = (values: readonly number[]) =>
    Array.from({ length: values.length / nHeadKv }, (_, il) =>
      values.slice(il * nHeadKv, (il + 1) * nHeadKv).map((x) => Math.round(x * 1e5) / 1e5),
    );
  return { model, weights: perLayer(shares(weights)), shares: perLayer(second) };
}
