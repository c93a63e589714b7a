import { mean } from "../../mean.ts";
import type { PageSection } from "../../page/page.ts";
import { overHeads } from "../means.ts";
import type { Funnel } from "../studies/funnel.ts";
import { heatChart, lineChart, pointsOf } from "./charts.ts";

/** How concentrated attention is. */
export function funnelSection(name: string, funnel: Funnel): PageSection {
  const layers = funnel.entropy.map((_, il) => String(il));
  return {
    title: `${name}: the funnel`,
    notes: [],
    tables: [],
    charts: [
      lineChart({
        name: "heads",
        caption: "Effective number of keys: each head a dot, their average a line.",
        points: pointsOf("mean", funnel.effectiveKeys.map(mean)),
        y: { label: "effective number of keys", log: true },
        behind: {
          dots: funnel.effectiveKeys.flatMap((heads, x) => heads.map((y) => ({ x, y }))),
        },
      }),
      lineChart({
        name: "sinks-window",
        caption: "Attention on the first 4 tokens and on the newest 8.",
        points: [
          ...pointsOf("sinks", funnel.sinks.map(mean)),
          ...pointsOf("window", funnel.window.map(mean)),
        ],
        y: { label: "attention", percent: true },
      }),
      heatChart({
        name: "top-mass",
        caption: "Attention on the top K keys of each query, in percent.",
        x: { label: "K, keys", names: funnel.topKs.map(String) },
        y: { label: "layer", names: layers },
        shares: overHeads(funnel.topMass),
      }),
      heatChart({
        name: "top-share-mass",
        caption: "The same on a share of the keys that a query sees.",
        x: { label: "share of the keys", names: funnel.topShares.map((x) => `${100 * x} %`) },
        y: { label: "layer", names: layers },
        shares: overHeads(funnel.topShareMass),
      }),
    ],
  };
}
