/** Text, tables and pictures to be read as one page, as Markdown or as files. */
export interface Page {
  readonly title: string;
  readonly notes: readonly string[];
  readonly sections: readonly PageSection[];
  readonly made?: Made;
}

/** How a page was made, for those who find it later. */
export interface Made {
  /** The command as it was typed: `pyramidkv report needle.jsonl`. */
  readonly command: string;
  /** `2026-11-26` */
  readonly date: string;
  /** The version of this package. */
  readonly version: string;
}

export interface PageSection {
  readonly title: string;
  /** What the figures are of, in sentences. */
  readonly notes: readonly string[];
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
}

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A picture with its text. */
export interface Chart {
  readonly name: string;
  readonly caption: string;
  /** A whole SVG document. */
  readonly svg: string;
}

/** All words of a page that are not names or numbers: titles, notes, heads and captions. */
export function proseOf({ notes, sections }: Page): string[] {
  const parts = sections.flatMap(({ title, notes: said, tables, charts }) => [
    ...[title, ...said, ...charts.map(({ caption }) => caption)],
    ...tables.flatMap((table) => [table.title, ...table.head]),
  ]);
  return [...notes, ...parts];
}
