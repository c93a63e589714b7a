import { contactSheet } from "../../page/contact-sheet.ts";
import type { PageSection, Table } from "../../page/page.ts";
import type { AttentionMaps, MassiveColumn } from "../studies/maps.ts";
import { percent, ranges } from "./format.ts";

/** What each head attends to, and the tokens that much goes to. */
export async function mapsSection(name: string, maps: AttentionMaps): Promise<PageSection> {
  const { columns, queries, stretch } = maps;
  return {
    title: `${name}: maps`,
    notes: [],
    tables: [massiveTokens(maps.massive)],
    charts: [
      {
        name: "maps",
        caption:
          `Each head's attention: queries downwards, keys to the right. A column is ${stretch} tokens and as dark as the ` +
          "root of the largest weight among them, so that no single token is lost.",
        svg: await contactSheet({
          columns: maps.maps[0]?.map((_, h) => `head ${h}`) ?? [],
          rows: maps.maps.map((_, il) => String(il)),
          tiles: maps.maps.map((heads) =>
            heads.map((weights) => ({
              width: columns,
              height: queries.length,
              shares: weights.map(Math.sqrt),
            })),
          ),
        }),
      },
    ],
  };
}

/** One line a token, in the order of the text. */
function massiveTokens(massive: readonly MassiveColumn[]): Table {
  const positions = [...new Set(massive.map(({ position }) => position))].sort((a, b) => a - b);
  return {
    title: "Tokens of the first half that most attention goes to, at most 8 a layer, at least 1 %",
    head: ["position", "token", "layers", "most in one layer", "heads there that give it 10 %"],
    rows: positions.map((position) => {
      const columns = massive.filter((column) => column.position === position);
      const largest = columns.reduce((a, b) => (b.share > a.share ? b : a));
      return [
        ...[String(position), JSON.stringify(largest.token), ranges(columns.map(({ il }) => il))],
        ...[`${percent(largest.share)} (layer ${largest.il})`, String(largest.heads)],
      ];
    }),
  };
}
