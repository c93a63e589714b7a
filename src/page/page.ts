/** Text, tables and pictures to be read as one page, as Markdown or as files. */
export interface Page {
  readonly title: string;
  readonly notes: readonly string[];
  readonly sections: readonly PageSection[];
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
