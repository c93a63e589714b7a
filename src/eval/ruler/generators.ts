import { drawer, KINDS, PLAIN_WORDS, plainWords, shuffled, type Draw, type Kind } from "./words.ts";

/** What a task's template is filled with. */
export interface Filled {
  readonly context: string;
  readonly query: string;
  readonly answers: readonly string[];
}

/** The words that haystacks are made of. */
export interface Phrases {
  /** With `{type_needle_v}` (what the values are, in the plural), `{key}` and `{value}`. */
  readonly needle: string;
  /** A line that says nothing. */
  readonly noise: string;
}

/** Where texts come from. */
export interface Source {
  readonly random: () => number;
  readonly phrases: Phrases;
  /** Sentences to hide things between. */
  readonly sentences: readonly string[];
  /** Tokens of prompt and answer together. */
  readonly length: number;
}

/** Makes a task whose haystack has `size` parts, which are lines, sentences or words. */
export interface Generator {
  (source: Source, size: number): Filled;
  /** The most parts that there are; no limit by default. */
  readonly largest?: number;
  /** Makes haystacks that are larger than that, and those of their kind that are smaller. */
  readonly beyond?: Generator;
}

/** Depths that needles are put at. */
const DEPTHS = 40;

export interface NeedleTask {
  /** What needles lie in: repeated lines, a text, or other needles. */
  readonly haystack: "noise" | "essay" | "needles";
  readonly keys: Kind;
  readonly values: Kind;
  /** Needles with a key of their own, values of one key, keys that are asked for. */
  readonly nKeys: number;
  readonly nValues: number;
  readonly nQueries: number;
}

/** Needles in a haystack: keys with values, of which some are asked for. */
export function needles(task: NeedleTask): Generator {
  return ({ random, sentences, phrases }, size) => {
    const needle = (word: string, value: string) =>
      filled(phrases.needle, { type_needle_v: task.values, key: word, value });
    const [key, value] = [drawer(random, KINDS[task.keys]), drawer(random, KINDS[task.values])];
    const keys = Array.from({ length: Math.max(task.nKeys, task.nQueries) }, key);
    const hidden = keys.map((name) => ({
      key: name,
      values: Array.from({ length: task.nValues }, value),
    }));
    const lines = hidden.flatMap((h) => h.values.map((v) => needle(h.key, v)));
    const asks = hidden.slice(0, task.nQueries);
    return {
      context: hide(shuffled(lines, random)),
      query: listed(asks.map((h) => h.key)),
      answers: asks.flatMap((h) => h.values),
    };

    function hide(own: readonly string[]): string {
      if (task.haystack === "essay") {
        const text = Array.from({ length: size }, (_, i) => sentences[i % sentences.length]);
        return inserted(text as string[], own, random).join(" ");
      }
      const line = () => (task.haystack === "noise" ? phrases.noise : needle(key(), value()));
      return inserted(Array.from({ length: size }, line), own, random).join("\n");
    }
  };
}

/** A text with its `{names}` replaced; those that are not given stay. */
export function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** Lines put between others, at different ones of 40 even depths. */
function inserted(
  lines: readonly string[],
  sentences: readonly string[],
  random: () => number,
): readonly string[] {
  const depths = shuffled(
    Array.from({ length: DEPTHS }, (_, i) => i / (DEPTHS - 1)),
    random,
  );
  const out = [...lines];
  const places = sentences.map((line, i) => {
    return { line, at: Math.round((depths[i % DEPTHS] as number) * lines.length) };
  });
  for (const { line, at } of places.sort((a, b) => b.at - a.at)) out.splice(at, 0, line);
  return out;
}

/** `a, b, and c` */
function listed(names: readonly string[]): string {
  return names.length < 2
    ? names.join("")
    : `${names.slice(0, -1).join(", ")}, and ${names.at(-1)}`;
}

/** Variables that are assigned a value, or each other, in lines of noise. */
export function variableTracking({ hops }: { readonly hops: number }): Generator {
  return ({ random, phrases }, size) => {
    const name = drawer(random, KINDS.variables);
    const value = KINDS.codes(random);
    const names = Array.from({ length: hops + 1 }, name);
    const chain = names.map((variable, i) =>
      i === 0 ? `VAR ${variable} = ${value}` : `VAR ${variable} = VAR ${names[i - 1]} `,
    );
    const noise = new Array<string>(size).fill(phrases.noise);
    // A chain is read in its order.
    const places = chain.map(() => Math.floor(random() * (size + 1))).sort((a, b) => a - b);
    chain.forEach((line, i) => noise.splice((places[i] as number) + i, 0, line));
    return { context: noise.join("\n"), query: value, answers: names };
  };
}

/** Below this length, words repeat less. */
const SHORT = 4096;

/** A numbered list of words of which some come more often, 30 times against 3, or 6 against 1; `size` counts the others. */
export function commonWords({ common }: { readonly common: number }): Generator {
  // All of one kind, as in RULER: plain words among pairs would give themselves away.
  const plain = wordList(common, plainWords);
  return Object.assign(plain, {
    largest: PLAIN_WORDS - common,
    beyond: wordList(common, (random) => drawer(random, KINDS.words)),
  });
}

function wordList(common: number, draw: (random: () => number) => Draw): Generator {
  return ({ random, length }, size) => {
    const [times, otherTimes] = length < SHORT ? [6, 1] : [30, 3];
    const word = draw(random);
    const frequent = Array.from({ length: common }, word);
    const others = Array.from({ length: size }, word);
    const repeated = (words: readonly string[], n: number) =>
      words.flatMap((w) => new Array<string>(n).fill(w));
    const words = shuffled([...repeated(frequent, times), ...repeated(others, otherTimes)], random);
    const context = words.map((w, i) => `${i + 1}. ${w}`).join(" ");
    return { context, query: "", answers: frequent };
  };
}

/** Coded words by Zipf's law, of which the most frequent is blotted out; the next three are asked for. `size` counts words. */
export function frequentWords({ alpha }: { readonly alpha: number }): Generator {
  return ({ random }, size) => {
    const word = drawer(random, KINDS.coded);
    const ranks = Math.max(4, Math.min(2000, size));
    const names = ["...", ...Array.from({ length: ranks - 1 }, word)];
    const weights = names.map((_, i) => (i + 1) ** -alpha);
    const total = weights.reduce((a, b) => a + b, 0);
    const counts = weights.map((w) => Math.floor((size * w) / total));
    // The three that are asked for come in clear order, however short the text.
    for (let rank = 3; rank >= 1; rank--) {
      counts[rank] = Math.max(counts[rank] as number, (counts[rank + 1] ?? 0) + 1);
    }
    const words = names.flatMap((name, i) => new Array<string>(counts[i] as number).fill(name));
    return { context: shuffled(words, random).join(" "), query: "", answers: names.slice(1, 4) };
  };
}

/** A question on one of many documents; `size` counts the others. */
export interface Question {
  readonly question: string;
  readonly answers: readonly string[];
  readonly document: string;
}

export function documentQuestions(questions: readonly Question[], i: number): Generator {
  const question = questions[i % questions.length] as Question;
  const texts = new Set(questions.map(({ document }) => document));
  texts.delete(question.document);
  const make: Generator = ({ random }, size) => {
    // A larger haystack holds the documents of a smaller one.
    const others = shuffled([...texts], random).slice(0, size);
    const documents = shuffled([question.document, ...others], random);
    const context = documents.map((text, at) => `Document ${at + 1}:\n${text}`).join("\n\n");
    return { context, query: question.question, answers: question.answers };
  };
  return Object.assign(make, { largest: texts.size });
}
