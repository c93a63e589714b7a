import { funnel, type Funnel } from "./studies/funnel.ts";
import { locality, type Locality } from "./studies/locality.ts";
import { maps, type AttentionMaps } from "./studies/maps.ts";
import { needs, type Needs } from "./studies/needs.ts";
import type { Study, StudyContext } from "./study.ts";

/** What each study finds. */
export interface Findings {
  readonly funnel: Funnel;
  readonly needs: Needs;
  readonly locality: Locality;
  readonly maps: AttentionMaps;
}

export type StudyName = keyof Findings;

export interface StudyKind<T> {
  /** A few words for the help. */
  readonly about: string;
  readonly start: (context: StudyContext) => Study<T>;
}

/** What can be studied in one reading of a text. */
export const STUDIES: { readonly [K in StudyName]: StudyKind<Findings[K]> } = {
  funnel: { about: "how concentrated attention is, by layer", start: funnel },
  needs: { about: "how many tokens each layer needs", start: needs },
  locality: { about: "how far away and where attention goes", start: locality },
  maps: { about: "pictures of every head's attention", start: maps },
};
