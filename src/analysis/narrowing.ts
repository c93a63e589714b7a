import { mean } from "../mean.ts";

/**
 * The layer from which on attention is narrower: the cut that leaves the least spread of ln(effective keys) on both of
 * its sides, where the side above is the narrower one. Undefined where the layers above are broader, or all are alike.
 *
 * @param effectiveKeys by layer
 */
export function narrowsAt(effectiveKeys: readonly number[]): number | undefined {
  const logs = effectiveKeys.map(Math.log);
  let best: { readonly at: number; readonly spread: number; readonly drop: number } | undefined;
  for (let at = 1; at < logs.length; at++) {
    const [below, above] = [logs.slice(0, at), logs.slice(at)];
    const spread = squaresAround(below) + squaresAround(above);
    if (best === undefined || spread < best.spread - 1e-12) {
      best = { at, spread, drop: mean(below) - mean(above) };
    }
  }
  return best !== undefined && best.drop > 1e-6 ? best.at : undefined;
}

function squaresAround(values: readonly number[]): number {
  const center = mean(values);
  return values.reduce((sum, x) => sum + (x - center) ** 2, 0);
}
