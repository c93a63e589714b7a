import type { Page, PageSection } from "../../page/page.ts";
import { namesOf, type Analyzed } from "../analyzed.ts";
import { funnelSection } from "./funnel-section.ts";
import { localitySection } from "./locality-section.ts";
import { mapsSection } from "./maps-section.ts";
import { needsSection } from "./needs-section.ts";
import { retentionSections } from "./retention-section.ts";
import { allTextsSection } from "./all-texts-section.ts";

/** Findings as one page: all texts and models beside each other, then each on its own. */
export async function analysisPage(texts: readonly Analyzed[]): Promise<Page> {
  const models = [...new Set(texts.map(({ model }) => model))];
  const names = namesOf(texts);
  const sections = await Promise.all(texts.map((one, i) => sectionsOf(names[i] as string, one)));
  return {
    title: `Where attention goes: ${models.join(", ")}`,
    notes: texts.map(
      ({ found: { n, queries } }, i) =>
        `${names[i]}: ${n} tokens, averages over ${queries.spread.length} queries spread over them.`,
    ),
    sections: [allTextsSection(texts), ...sections.flat()].filter(
      ({ tables, charts }) => tables.length + charts.length > 0,
    ),
  };
}

async function sectionsOf(
  name: string,
  { found: { funnel, needs, locality, maps }, retention }: Analyzed,
): Promise<PageSection[]> {
  return [
    ...(funnel === undefined ? [] : [funnelSection(name, funnel)]),
    ...(needs === undefined ? [] : [needsSection(name, needs)]),
    ...(locality === undefined ? [] : [localitySection(name, locality)]),
    ...(maps === undefined ? [] : [await mapsSection(name, maps)]),
    ...(retention === undefined ? [] : await retentionSections(name, retention)),
  ];
}
