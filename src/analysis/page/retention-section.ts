import { mean } from "../../mean.ts";
import { contactSheet } from "../../page/contact-sheet.ts";
import type { Chart, PageSection } from "../../page/page.ts";
import type { ShareImage } from "../../page/png.ts";
import { STRETCH, type KeptTokens, type Retention } from "../retention.ts";
import { percent } from "./format.ts";
import { heatChart, lineChart, pointsOf } from "./charts.ts";

/** Columns of the pictures of kept tokens. */
const COLUMNS = 128;
/** Pixels of a picture of overlaps. */
const OVERLAP_WIDTH = 150;

/** What ways keep, and where the loss comes from: a section for each size. Those with an α of their own are drawn elsewhere. */
export function retentionSections(name: string, retention: Retention): Promise<PageSection[]> {
  const compared = retention.ways.filter(({ way }) => way.alpha === undefined);
  const sizes = [...new Set(compared.map(({ way }) => way.kvSize))];
  return Promise.all(
    sizes.map((size) => {
      const title = `${name}: what ${size ?? "all"} tokens a layer hold`;
      const ways = compared.filter(({ way }) => way.kvSize === size);
      return sizeSection(title, retention, ways);
    }),
  );
}

async function sizeSection(
  title: string,
  { before, follow, ways: allWays, wayOverlap }: Retention,
  ways: readonly KeptTokens[],
): Promise<PageSection> {
  const names = ways.map(({ way }) => way.method);
  const named = ways.map((way, i) => ({ ...way, name: names[i] as string }));
  const places = ways.map((way) => allWays.indexOf(way));
  const sheet = { columns: names, rows: [""] };
  const zoom = Math.max(1, Math.round(OVERLAP_WIDTH / (ways[0]?.kept.length ?? 1)));
  const next = Math.min(STRETCH, follow);
  const last = follow - STRETCH * Math.floor((follow - 1) / STRETCH);
  return {
    title,
    notes: [
      `The first ${before} tokens were compressed; the ${follow} after them were then read with all of them, to see what they attend to.`,
    ],
    tables: [
      {
        title: "Attention that the kept tokens hold, and the error of attention's outputs",
        head: [
          ...["method", `held of the next ${next} tokens`, `next ${next}: of the best choice`],
          ...[`held of the last ${last}`, `last ${last}: of the best choice`, "output error"],
          ...["heads overlap", "neighbouring layers overlap"],
        ],
        rows: named.map((way) => [way.name, ...figures(way)]),
      },
    ],
    charts: [
      lineChart({
        name: "captured",
        caption: `Of the attention that the next ${next} tokens give to the compressed ones: what kept ones hold.`,
        points: named.flatMap(({ name, captured }) => pointsOf(name, captured.map(mean))),
        y: { label: "attention held", percent: true },
      }),
      lineChart({
        name: "errors",
        caption:
          "How far each layer's attention output is from that of the full cache, layers before taken as exact.",
        points: named.flatMap(({ name, errors }) => pointsOf(name, errors)),
        y: { label: "relative error", percent: true },
      }),
      ...(follow > STRETCH ? [driftChart(named)] : []),
      {
        name: "kept",
        caption:
          "Where kept tokens lie: layers and their kv heads downwards, the text to the right.",
        svg: await contactSheet({
          ...sheet,
          zoom: 2,
          tiles: [ways.map(({ kept }) => keptTile(kept, before))],
        }),
      },
      {
        name: "layer-overlap",
        caption: "Kept tokens that two layers share, of those that either keeps.",
        svg: await contactSheet({
          ...sheet,
          zoom,
          tiles: [ways.map(({ layerOverlap: overlap }) => squareTile(overlap))],
        }),
      },
      heatChart({
        name: "way-overlap",
        caption: "Kept tokens that two methods share, of those that either keeps, in percent.",
        x: { label: "", names },
        y: { label: "", names },
        shares: places.map((a) => places.map((b) => wayOverlap[a]?.[b] as number)),
      }),
    ],
  };
}

function driftChart(
  ways: readonly { readonly name: string; readonly drift: readonly number[] }[],
): Chart {
  return lineChart({
    name: "drift",
    caption: "What the kept ones hold of the attention of tokens that come later.",
    points: ways.flatMap(({ name, drift }) =>
      drift.map((y, i) => ({ line: name, x: (i + 0.5) * STRETCH, y })),
    ),
    x: { label: "tokens after the compression" },
    y: { label: "attention held", percent: true },
  });
}

function figures({ kept, drift, best, errors, headOverlap, layerOverlap }: KeptTokens): string[] {
  const neighbours = layerOverlap.slice(1).map((layer, il) => layer[il] as number);
  const last = drift.length - 1;
  return [
    percent(drift[0] as number),
    percent((drift[0] as number) / (best[0] as number)),
    percent(drift[last] as number),
    percent((drift[last] as number) / (best[last] as number)),
    percent(mean(errors)),
    kept[0]?.length === 1 ? "–" : percent(mean(headOverlap)),
    neighbours.length === 0 ? "–" : percent(mean(neighbours)),
  ];
}

/** The share of each column's tokens that is kept, a row for each kv head of each layer. */
function keptTile(kept: KeptTokens["kept"], before: number): ShareImage {
  const stretch = Math.ceil(before / COLUMNS);
  const width = Math.ceil(before / stretch);
  const rows = kept.flat();
  const shares = new Float32Array(width * rows.length);
  rows.forEach((positions, row) => {
    for (const position of positions) {
      const at = row * width + Math.floor(position / stretch);
      shares[at] = (shares[at] as number) + 1 / stretch;
    }
  });
  return { width, height: rows.length, shares };
}

function squareTile(shares: readonly (readonly number[])[]): ShareImage {
  return { width: shares.length, height: shares.length, shares: Float32Array.from(shares.flat()) };
}
