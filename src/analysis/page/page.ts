import type { Page, PageSection } from "../../page/page.ts";
import { namesOf, type Analyzed } from "./analyzed.ts";
import { together } from "./together.ts";
import { funnelPart, localityPart, mapsPart, needsPart } from "./text-parts.ts";
import { retentionPart } from "./retention-part.ts";

/** Findings as one page: all texts and models beside each other, then each on its own. */
export async function analysisPage(all: readonly Analyzed[]): Promise<Page> {
  const models = [...new Set(all.map(({ model }) => model))];
  const names = namesOf(all);
  const own = await Promise.all(all.map((one, i) => ofText(one, names[i] as string)));
  return {
    title: `Where attention goes: ${models.join(", ")}`,
    notes: all.map(
      ({ found }, i) =>
        `${names[i]}: ${found.n} tokens, averages over ${found.queries.spread.length} queries spread over them.`,
    ),
    sections: [together(all), ...own],
  };
}

/** The part of a section that one study gives. */
export type Part = Pick<PageSection, "tables" | "charts">;

async function ofText({ found, retention }: Analyzed, title: string): Promise<PageSection> {
  const { funnel, needs, locality, maps } = found;
  const parts = [
    ...(needs === undefined ? [] : [needsPart(needs)]),
    ...(funnel === undefined ? [] : [funnelPart(funnel)]),
    ...(locality === undefined ? [] : [localityPart(locality)]),
    ...(maps === undefined ? [] : [await mapsPart(maps)]),
    ...(retention === undefined ? [] : [await retentionPart(retention)]),
  ];
  return {
    title,
    notes: [],
    tables: parts.flatMap(({ tables }) => tables),
    charts: parts.flatMap(({ charts }) => charts),
  };
}
