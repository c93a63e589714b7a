import * as Plot from "@observablehq/plot";
import { draw } from "../../page/draw.ts";
import { seriesDots, seriesLines } from "../../page/series.ts";
import type { Chart } from "../../page/page.ts";
import type { WaySummary } from "../run/summary.ts";

const SCORE_AXIS = { label: "average score, %", grid: true, zero: true } as const;

/** Average score against tokens kept, one line a method; the full cache is the dashed line. */
export function scoreCurves(lines: readonly WaySummary[]): Chart {
  const points = lines.flatMap((line) =>
    line.kvSize === undefined
      ? []
      : [{ method: line.name, kept: line.kvSize, score: line.average }],
  );
  const full = lines.filter(({ kvSize }) => kvSize === undefined);
  const names = namesOf(lines);
  return {
    name: "score-by-size",
    caption: "Average score against tokens kept per layer and kv head. Dashed: the full cache.",
    svg: draw({
      x: {
        type: "log",
        base: 2,
        label: "tokens kept a layer and kv head",
        tickFormat: "d",
        ticks: sizesOf(points),
      },
      y: SCORE_AXIS,
      series: names,
      marks: [
        Plot.ruleY(full, { y: "average", strokeDasharray: "4 3" }),
        ...seriesLines(points, names, { x: "kept", y: "score", series: "method" }),
      ],
    }),
  };
}

/** Methods in their order, so that each has one colour in all pictures. */
function namesOf(lines: readonly WaySummary[]): string[] {
  return [...new Set(lines.map(({ name }) => name))];
}

function sizesOf(points: readonly { readonly kept: number }[]): number[] {
  return [...new Set(points.map(({ kept }) => kept))].sort((a, b) => a - b);
}

/** Average score against bytes held; those that nothing smaller beats are joined. */
export function paretoFront(lines: readonly WaySummary[]): Chart {
  const points = lines.map((line) => ({
    way: `${line.name}${line.kvSize === undefined ? "" : ` ${line.kvSize}`}`,
    method: line.name,
    megabytes: line.kvBytes / 1e6,
    score: line.average,
  }));
  const front = points
    .filter((p) => !points.some((o) => dominates(o, p)))
    .sort((a, b) => a.megabytes - b.megabytes);
  return {
    name: "score-by-bytes",
    caption:
      "Average score against the bytes that the cache holds. Joined: those that score more than all that are smaller.",
    svg: draw({
      x: { type: "log", label: "keys and values held, MB", tickFormat: "~g" },
      y: SCORE_AXIS,
      series: namesOf(lines),
      labels: [...front, ...points.filter((p) => !front.includes(p))].map((p) => ({
        x: p.megabytes,
        y: p.score,
        text: front.includes(p) ? p.way : "",
      })),
      marks: [
        Plot.line(front, { x: "megabytes", y: "score", curve: "step-after", strokeOpacity: 0.4 }),
        seriesDots(points, { x: "megabytes", y: "score", series: "method" }),
      ],
    }),
  };
}

interface Cost {
  readonly megabytes: number;
  readonly score: number;
}

function dominates(o: Cost, p: Cost): boolean {
  const noWorse = o.megabytes <= p.megabytes && o.score >= p.score;
  return noWorse && (o.megabytes < p.megabytes || o.score > p.score);
}

interface NeedleCell {
  readonly way: string;
  readonly method: string;
  readonly size: number;
  readonly length: number;
  readonly depth: number;
  readonly scores: number[];
}

const shortLength = (n: number) => (n >= 1000 ? `${n / 1000}K` : String(n));

/** Needles found, by length and depth, one field a method and size. */
export function needleMap(lines: readonly WaySummary[]): Chart | undefined {
  const cells = new Map<string, NeedleCell>();
  const smallest = Math.min(...lines.flatMap(({ kvSize }) => kvSize ?? []));
  for (const { name, kvSize, rows } of lines) {
    const size = kvSize ?? smallest;
    const way = kvSize === undefined ? name : `${name} ${kvSize}`;
    for (const { facts: { length, depth } = {}, score } of rows) {
      if (length === undefined || depth === undefined) continue;
      const key = JSON.stringify([way, length, depth]);
      const cell = cells.get(key) ?? { way, method: name, size, length, depth, scores: [] };
      cell.scores.push(score);
      cells.set(key, cell);
    }
  }
  if (cells.size === 0) return undefined;
  const data = [...cells.values()].map(({ scores, ...cell }) => ({
    ...cell,
    found: scores.reduce((a, b) => a + b, 0) / scores.length,
  }));
  // A row for each method, a column for each size.
  const methods = [...new Set(data.map(({ method }) => method))];
  const sizes = [...new Set(data.map(({ size }) => size))].sort((a, b) => a - b);
  const ways = [...new Map(data.map((cell) => [cell.way, cell])).values()];
  const depths = new Set(data.map(({ depth }) => depth)).size;
  const column = ({ size }: { size: number }) => sizes.indexOf(size);
  const row = ({ method }: { method: string }) => methods.indexOf(method);
  return {
    name: "needle-map",
    caption: "Needles found, by prompt length (across) and depth (down): dark all, light none.",
    svg: draw({
      width: 90 + 210 * sizes.length,
      height: 80 + methods.length * (34 + 14 * depths),
      marginTop: 28,
      padding: 0.05,
      x: { type: "band", label: "prompt length, tokens", tickFormat: shortLength },
      y: { type: "band", label: "depth, share of the prompt" },
      fx: { axis: null, padding: 0.12 },
      fy: { axis: null, padding: 0.35 },
      color: { type: "linear", scheme: "blues", domain: [0, 1] },
      marks: [
        Plot.cell(data, {
          x: "length",
          y: "depth",
          fill: "found",
          inset: 1,
          stroke: "#888",
          strokeWidth: 0.5,
          fx: column,
          fy: row,
        }),
        Plot.text(ways, {
          text: "way",
          frameAnchor: "top-left",
          dy: -12,
          fontWeight: "bold",
          fx: column,
          fy: row,
        }),
      ],
    }),
  };
}
