import { proseOf, type Page } from "./page.ts";

/** A word of this field, with what it means on our pages. */
export interface Term {
  readonly term: string;
  /** How the word is written in sentences, where it differs; without anchors. */
  readonly pattern?: string;
  readonly meaning: string;
}

/** The words that pages explain, in the order of the alphabet. */
export const GLOSSARY: readonly Term[] = [
  {
    term: "attention output",
    pattern: "attention(?:'s)? outputs?",
    meaning:
      "What an attention head passes on: the values of the tokens it sees, weighted by its attention to them.",
  },
  {
    term: "budget",
    pattern: "budgets?",
    meaning: "How many tokens a layer, or a kv head of it, may keep.",
  },
  {
    term: "effective number of keys",
    meaning:
      "e to the power of the attention's entropy: over how many tokens attention that is spread evenly would go.",
  },
  {
    term: "full cache",
    meaning: "The cache with every token in it, as models run without compression.",
  },
  {
    term: "kept",
    pattern: "tokens kept|kept tokens|kept",
    meaning:
      "The tokens whose keys and values the cache still holds after compression, on average for each layer and kv head.",
  },
  {
    term: "KL",
    pattern: "mean KL|KL",
    meaning:
      "The Kullback–Leibler divergence of the next token's probabilities from those with the full cache, in nats: 0 where nothing changed.",
  },
  {
    term: "kv head",
    pattern: "kv heads?",
    meaning:
      "A part of the cache that several attention heads of a layer share; each keeps tokens of its own.",
  },
  {
    term: "MB held",
    meaning: "Megabytes (10⁶ bytes) of keys and values in the cache after compression.",
  },
  {
    term: "needle",
    pattern: "needles?",
    meaning:
      "A sentence hidden in a long text; an answer scores by whether it tells what the sentence said. Its depth is where it stands: 0 at the beginning, 1 at the end.",
  },
  {
    term: "overlap",
    pattern: "overlaps?",
    meaning: "Of the tokens that either of two keeps, the share that both keep.",
  },
  {
    term: "paired bootstrap",
    meaning:
      "An interval for a difference, from drawing the same samples anew many times: 95 of 100 such intervals hold the true difference.",
  },
  {
    term: "relative error",
    pattern: "relative errors?|output error",
    meaning:
      "The length of the difference between two vectors over the length of the exact one: 0 is exact.",
  },
  {
    term: "sinks",
    pattern: "(?:attention )?sinks?",
    meaning: "The first tokens of a text, to which many heads give most of their attention.",
  },
  {
    term: "window",
    pattern: "sliding window|observation window|windows?",
    meaning: "The newest tokens. The observation window's queries score the tokens before them.",
  },
  {
    term: "α",
    meaning: "How many of the prompt's last tokens score the others.",
  },
  {
    term: "β",
    meaning:
      "The steepness of the pyramid: the last layer keeps the average over β besides the window; 1 is even.",
  },
];

/** Finds a term where no letter or digit touches it. */
export function termPattern({ term, pattern = term }: Term): RegExp {
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${pattern})(?![\\p{L}\\p{N}])`, "iu");
}

/** The terms that a page uses. */
export function termsOf(page: Page): Term[] {
  const prose = proseOf(page).join("\n");
  return GLOSSARY.filter((term) => termPattern(term).test(prose));
}
