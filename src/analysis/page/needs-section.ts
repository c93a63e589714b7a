import { mean } from "../../mean.ts";
import type { Chart, PageSection } from "../../page/page.ts";
import { overHeads } from "../means.ts";
import type { Needs } from "../studies/needs.ts";
import { heatChart, lineChart, pointsOf } from "./charts.ts";

/** The error whose spread over queries is drawn. */
const SPREAD = 0.05;

/** How many tokens each layer needs. */
export function needsSection(name: string, needs: Needs): PageSection {
  const chart = (of: "own" | "shared", caption: string): Chart => {
    const at = (error: number, quantile: number) =>
      needs[of].map((heads) =>
        Math.max(1, mean(heads.map((head) => head[error]?.[quantile] ?? 1))),
      );
    const spread = needs.errors.indexOf(SPREAD);
    const [low, high] = [at(spread, 0), at(spread, 2)];
    return lineChart({
      name: `needs-${of}`,
      caption,
      points: needs.errors.flatMap((error, e) => pointsOf(`${100 * error} %`, at(e, 1))),
      y: { label: "tokens needed", log: true },
      behind: { band: low.map((least, x) => ({ x, low: least, high: high[x] as number })) },
    });
  };
  const shown = [...needs.sizes.keys()].filter((i) => i % 4 === 1); // doublings
  return {
    title: `${name}: how many tokens attention needs`,
    notes: [
      "The fewest tokens that leave attention's output within 1, 2, 5 and 10 % of the whole one. Lines are medians over queries, averaged over kv heads; the grey band is where the middle 80 % of the queries lie for 5 %.",
    ],
    tables: [],
    charts: [
      chart("own", "Each query with its own top keys."),
      chart("shared", "One set for all of the text's last tokens, as a cache has."),
      heatChart({
        name: "left",
        caption:
          "The error of attention's outputs with the best set of so many tokens, in percent.",
        x: {
          label: "tokens besides the last ones",
          names: shown.map((i) => String(needs.sizes[i])),
        },
        y: { label: "layer", names: needs.left.map((_, il) => String(il)) },
        shares: overHeads(needs.left).map((layer) => shown.map((i) => layer[i] as number)),
      }),
    ],
  };
}
