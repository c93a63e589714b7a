import { mean } from "../../mean.ts";
import { contactSheet } from "../../page/contact-sheet.ts";
import type { Chart } from "../../page/page.ts";
import { overHeads } from "../means.ts";
import type { Funnel } from "../studies/funnel.ts";
import { localLayers, type Locality } from "../studies/locality.ts";
import type { AttentionMaps } from "../studies/maps.ts";
import type { Needs } from "../studies/needs.ts";
import { percent, ranges } from "./analyzed.ts";
import { heatChart, lineChart, pointsOf } from "./charts.ts";
import type { Part } from "./page.ts";

/** The error and the quantiles whose spread is drawn. */
const SPREAD_ERROR = 0.05;
/** So little attention outside of a sliding window does no harm. */
const LITTLE = 0.05;

/** How many tokens each layer needs. */
export function needsPart(needs: Needs): Part {
  const chart = (name: string, all: Needs["own"], caption: string): Chart => {
    const at = (error: number, quantile: number) =>
      all.map((heads) => Math.max(1, mean(heads.map((own) => own[error]?.[quantile] ?? 1))));
    const spread = needs.errors.indexOf(SPREAD_ERROR);
    const [low, high] = [at(spread, 0), at(spread, 2)];
    return lineChart({
      ...{ name, caption: `${caption} Medians, and for 5 % the middle 80 % of the queries.` },
      points: needs.errors.flatMap((error, e) => pointsOf(`${100 * error} %`, at(e, 1))),
      y: { label: "keys", log: true },
      behind: {
        band: low.map((x, layer) => ({ layer, low: x, high: high[layer] as number })),
      },
    });
  };
  return {
    tables: [],
    charts: [
      chart(
        "needs-own",
        needs.own,
        "The fewest of a query's own top keys that leave its output so far from the whole one.",
      ),
      chart(
        "needs-shared",
        needs.shared,
        "The same of one set for the text's last tokens, as a cache has.",
      ),
    ],
  };
}

/** How concentrated attention is. */
export function funnelPart(funnel: Funnel): Part {
  const layers = funnel.entropy.map((_, il) => String(il));
  return {
    tables: [],
    charts: [
      lineChart({
        name: "heads",
        caption: "Effective number of keys: each head a dot, their average a line.",
        points: pointsOf("mean", funnel.effectiveKeys.map(mean)),
        y: { label: "keys", log: true },
        behind: {
          dots: funnel.effectiveKeys.flatMap((heads, layer) => heads.map((y) => ({ layer, y }))),
        },
      }),
      heatChart({
        name: "top-mass",
        caption: "Attention on the top K keys of each query, in percent.",
        x: { label: "K", names: funnel.topKs.map(String) },
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
      lineChart({
        name: "sinks-window",
        caption: "Attention on the first 4 tokens and on the newest 8.",
        points: [
          ...pointsOf("sinks", funnel.sinks.map(mean)),
          ...pointsOf("window", funnel.window.map(mean)),
        ],
        y: { label: "share" },
      }),
    ],
  };
}

/** How far away, and where, attention goes. */
export function localityPart(locality: Locality): Part {
  const { distances, windows } = locality;
  const layers = locality.byDistance.map((_, il) => String(il));
  const outside = overHeads(locality.outside);
  const positions = overHeads(locality.byPosition);
  const stretches = positions[0]?.length ?? 0;
  // Eight columns are enough to see where in a text attention goes.
  const eighths = positions.map((row) =>
    Array.from({ length: 8 }, (_, e) =>
      row
        .filter((_, i) => Math.floor((8 * i) / stretches) === e)
        .reduce((sum, share) => sum + share, 0),
    ),
  );
  return {
    tables: [
      {
        title: "Layers that a sliding window would serve",
        head: ["window", `layers with at most ${percent(LITTLE)} outside in every head`, "number"],
        rows: windows.map((window) => {
          const local = localLayers(locality, window, LITTLE);
          return [String(window), ranges(local) || "none", `${local.length} of ${layers.length}`];
        }),
      },
    ],
    charts: [
      heatChart({
        name: "distance",
        caption: "Attention by distance, in percent; 0 is a query's own key.",
        x: {
          label: "tokens back, from",
          names: distances.map(String),
        },
        y: { label: "layer", names: layers },
        shares: overHeads(locality.byDistance),
      }),
      heatChart({
        name: "position",
        caption: "Attention by the eighths of the text that it goes to, in percent.",
        x: { label: "eighth of the text", names: eighths[0]?.map((_, e) => String(e + 1)) ?? [] },
        y: { label: "layer", names: layers },
        shares: eighths,
      }),
      lineChart({
        name: "outside",
        caption: "Attention that neither a sliding window of so many tokens nor the first 4 hold.",
        points: windows.flatMap((window, i) =>
          pointsOf(
            String(window),
            outside.map((own) => own[i] as number),
          ),
        ),
        y: { label: "share" },
      }),
    ],
  };
}

/** What each head attends to, and the tokens that much goes to. */
export async function mapsPart(maps: AttentionMaps): Promise<Part> {
  const { columns, queries, stretch } = maps;
  const heads = maps.maps[0]?.map((_, h) => `head ${h}`) ?? [];
  return {
    tables: [
      {
        title: "Tokens that at least 1 % of a layer's attention goes to",
        head: ["layer", "position", "token", "share", "heads that give it 10 %"],
        rows: maps.massive.map(({ il, position, token, share, heads: many }) => [
          ...[String(il), String(position), JSON.stringify(token), percent(share), String(many)],
        ]),
      },
    ],
    charts: [
      {
        name: "maps",
        caption:
          `Each head's attention: queries downwards, keys to the right, a column ${stretch} tokens and as dark as the root ` +
          "of the largest weight in it, so that no single token is lost.",
        svg: await contactSheet({
          columns: heads,
          rows: maps.maps.map((_, il) => String(il)),
          tiles: maps.maps.map((own) =>
            own.map((weights) => ({
              ...{ width: columns, height: queries.length, shares: weights.map(Math.sqrt) },
            })),
          ),
        }),
      },
    ],
  };
}
