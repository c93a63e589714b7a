import { resolveCompression } from "../compression/resolve.ts";
import { describeValue, PyramidKVError, requireInteger } from "../errors.ts";
import { mean } from "../mean.ts";
import { readOptions, type Named } from "../options.ts";
import type { Needs } from "./studies/needs.ts";

export interface FitOptions {
  /** Tokens kept per layer, averaged, the window included. */
  readonly kvSize: number;
  /** Tokens that every layer keeps by force. Defaults to 8. */
  readonly window?: number;
  /** Tokens of the prompt, which no layer can exceed. */
  readonly n: number;
}

export interface FittedBudget {
  /** Tokens of a layer, averaged: what was asked, or the prompt where it is shorter. */
  readonly kvSize: number;
  /** Tokens of each kv head, kvSize on average, [nLayer][nHeadKv]: what `budgets` and `--budget-file` take. */
  readonly budgets: readonly (readonly number[])[];
  /** The same where all heads of a layer have as many: [nLayer]. */
  readonly byLayer: readonly number[];
  /** The β whose pyramid leaves the smallest errors, 1 (all layers alike) to 100. */
  readonly beta: number;
  /** Errors that are left of the heads' outputs, averaged: with `budgets`, with `byLayer`, with that pyramid, and evenly. */
  readonly left: {
    readonly heads: number;
    readonly layers: number;
    readonly pyramid: number;
    readonly even: number;
  };
}

const FIT_OPTIONS = {
  kvSize: { kind: "own" },
  window: { kind: "integer", min: 0 },
  n: { kind: "own" },
} as const satisfies Named<FitOptions>;

function requireNeeds(needs: unknown): void {
  const { sizes, left } = (needs ?? {}) as { sizes?: unknown; left?: unknown };
  if (Array.isArray(sizes) && Array.isArray(left)) return;
  throw new PyramidKVError(
    "USAGE",
    `fitBudget takes what the study "needs" found, got ${describeValue(needs)}`,
  );
}

const BETAS = Array.from({ length: 41 }, (_, i) => 100 ** (i / 40));

/**
 * Divides a cache so that the errors of the kv heads' outputs, summed, are as small as they can be with the best
 * tokens: the next ones always go where they take off the most.
 *
 * @throws `USAGE` where the window does not fit into the size or the prompt
 */
export function fitBudget(needs: Pick<Needs, "sizes" | "left">, options: FitOptions): FittedBudget {
  requireNeeds(needs);
  const { sizes, left } = needs;
  const { kvSize, window = 8, n } = readOptions("fitBudget", FIT_OPTIONS, options);
  requireInteger("kvSize", kvSize, window + 1);
  requireInteger("n", n, window + 1);
  const size = Math.min(kvSize, n);
  const least = window + 1; // a cache of nothing but the window is refused
  const span = { from: 1, to: n - window };
  const fit = (curves: readonly (readonly number[])[]) => {
    const pieces = curves.map((errors) => convex(sizes, errors, span));
    return divide(pieces, (size - least) * curves.length).map((k) => k + least);
  };
  const heads = fit(left.flat());
  const budgets = left.map((layer, il) =>
    layer.map((_, h) => heads[il * layer.length + h] as number),
  );
  const byLayer = fit(left.map(summed));
  const leftWith = (tokens: (il: number, kvHead: number) => number) =>
    mean(
      left.flatMap((layer, il) =>
        layer.map((errors, h) => errorAt(sizes, errors, tokens(il, h) - window)),
      ),
    );
  const pyramids = BETAS.map((beta) => {
    const own = pyramidBudgets({ kvSize: size, window, beta }, left.length, n);
    return { beta, left: leftWith((il) => own[il] as number) };
  });
  const pyramid = pyramids.reduce((best, candidate) =>
    candidate.left < best.left ? candidate : best,
  );
  return {
    kvSize: size,
    budgets,
    byLayer,
    beta: Math.round(pyramid.beta * 10) / 10,
    left: {
      heads: leftWith((il, h) => budgets[il]?.[h] as number),
      layers: leftWith((il) => byLayer[il] as number),
      pyramid: pyramid.left,
      even: leftWith(() => size),
    },
  };
}

/** The errors of a layer's heads, added up: [nHeadKv][sizes] to [sizes]. */
function summed(heads: readonly (readonly number[])[]): number[] {
  const [first = []] = heads;
  return first.map((_, i) => heads.reduce((sum, head) => sum + (head[i] as number), 0));
}

function pyramidBudgets(
  sizes: { readonly kvSize: number; readonly window: number; readonly beta: number },
  nLayer: number,
  nTokens: number,
): number[] {
  const { method, options } = resolveCompression({ method: "pyramidkv", ...sizes });
  if (method.budget.kind !== "layers") throw new Error("the pyramid divides by layers");
  return method.budget.layers({ nLayer, nHeadKv: 1, nTokens, options });
}

/** The error with k tokens, straight between the sizes that are known. */
function errorAt(sizes: readonly number[], errors: readonly number[], k: number): number {
  const at = sizes.findIndex((size) => size >= k);
  if (at === -1) return errors.at(-1) as number;
  if (at === 0) return errors[0] as number;
  const [x0, x1] = [sizes[at - 1] as number, sizes[at] as number];
  const [y0, y1] = [errors[at - 1] as number, errors[at] as number];
  return y0 + ((y1 - y0) * (k - x0)) / (x1 - x0);
}

/** A number of tokens, each of which takes the same off the error. */
interface Piece {
  readonly tokens: number;
  readonly gain: number;
}

/** An error curve's lower hull, between two sizes, in pieces that gain less and less. */
function convex(
  sizes: readonly number[],
  errors: readonly number[],
  { from, to }: { readonly from: number; readonly to: number },
): Piece[] {
  const corners: { readonly x: number; readonly y: number }[] = [];
  const xs = new Set([from, ...sizes.filter((size) => size > from && size < to), to]);
  for (const x of xs) {
    const point = { x, y: errorAt(sizes, errors, x) };
    while (corners.length > 1) {
      const [a, b] = corners.slice(-2) as [typeof point, typeof point];
      if ((b.y - a.y) * (point.x - a.x) < (point.y - a.y) * (b.x - a.x)) break;
      corners.pop(); // it lies above the line from a to the point
    }
    corners.push(point);
  }
  return corners.slice(1).map(({ x, y }, i) => {
    const { x: x0, y: y0 } = corners[i] as (typeof corners)[number];
    return { tokens: x - x0, gain: (y0 - y) / (x - x0) };
  });
}

/** Gives `total` tokens to the pieces that gain the most, the lower layer first, and what would gain nothing evenly. */
function divide(layers: readonly (readonly Piece[])[], total: number): number[] {
  const shares = layers.map(() => 0);
  const room = layers.map((pieces) => pieces.reduce((sum, { tokens }) => sum + tokens, 0));
  let rest = total;
  const give = (il: number, tokens: number) => {
    const share = Math.min(tokens, rest, (room[il] as number) - (shares[il] as number));
    shares[il] = (shares[il] as number) + share;
    rest -= share;
  };
  const pieces = layers.flatMap((layerPieces, il) =>
    layerPieces.map((piece) => ({ il, ...piece })),
  );
  for (const { il, tokens, gain } of pieces.sort((a, b) => b.gain - a.gain)) {
    if (gain > 0) give(il, tokens);
  }
  while (rest > 0) layers.forEach((_, il) => give(il, 1));
  return shares;
}
