import { termPattern, termsOf, type Term } from "./glossary.ts";
import type { Made, Page, PageSection, Table } from "./page.ts";
import { STYLE } from "./style.ts";

/** A page that needs nothing else. */
export function pageHtml(page: Page): string {
  const terms = termsOf(page);
  const text = (plain: string) => linked(plain, terms);
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(page.title)}</title><style>${STYLE}</style></head>
<body>
<header><h1>${escaped(page.title)}</h1>
${page.made === undefined ? "" : madeLine(page.made)}
${page.notes.map((note) => `<p>${text(note)}</p>`).join("\n")}</header>
${contents(page.sections, terms)}
<main>
${page.sections.map((section, i) => sectionHtml(section, i, text)).join("\n")}
${glossary(terms)}
</main>
</body>
</html>
`;
}

function madeLine({ command, date, version }: Made): string {
  return `<p class="made">Made on <time>${escaped(date)}</time> by pyramidkv ${escaped(version)}: <code>${escaped(command)}</code></p>`;
}

function contents(sections: readonly PageSection[], terms: readonly Term[]): string {
  const entries = [
    ...sections.map(({ title }, i) => [`section-${i + 1}`, title] as const),
    ...(terms.length > 0 ? [["words", "Words"] as const] : []),
  ];
  const items = entries.map(([id, title]) => `<li><a href="#${id}">${escaped(title)}</a></li>`);
  return `<nav aria-label="Contents"><ul>\n${items.join("\n")}\n</ul></nav>`;
}

type TextHtml = (plain: string) => string;

function sectionHtml(
  { title, notes, tables, charts }: PageSection,
  i: number,
  text: TextHtml,
): string {
  const figures = charts.map(
    ({ svg, caption }) =>
      `<figure><div class="wide">${svg}</div><figcaption>${text(caption)}</figcaption></figure>`,
  );
  return [
    `<section><h2 id="section-${i + 1}">${escaped(title)}</h2>`,
    ...notes.map((note) => `<p>${text(note)}</p>`),
    ...tables.map((table) => tableHtml(table, text)),
    ...(figures.length > 0 ? [`<div class="charts">`, ...figures, "</div>"] : []),
    "</section>",
  ].join("\n");
}

function tableHtml({ title, head, rows }: Table, text: TextHtml): string {
  const heads = head.map((cell) => `<th scope="col">${text(cell)}</th>`).join("");
  const body = rows.map(
    (cells) => `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`,
  );
  return `<h3>${text(title)}</h3>
<div class="wide" tabindex="0"><table><thead><tr>${heads}</tr></thead><tbody>
${body.join("\n")}
</tbody></table></div>`;
}

function glossary(terms: readonly Term[]): string {
  if (terms.length === 0) return "";
  const entries = terms.map(
    (term) => `<dt id="${idOf(term)}">${escaped(term.term)}</dt><dd>${escaped(term.meaning)}</dd>`,
  );
  return `<section><h2 id="words">Words</h2>\n<dl>\n${entries.join("\n")}\n</dl></section>`;
}

const idOf = ({ term }: Term) => `word-${term.replace(/[^\p{L}\p{N}]+/gu, "-")}`;

/** Text whose first mention of each term leads to what it means. */
function linked(text: string, terms: readonly Term[]): string {
  const places = terms
    .flatMap((term) => {
      const found = termPattern(term).exec(text);
      return found === null ? [] : [{ term, start: found.index, words: found[0] }];
    })
    .sort((a, b) => a.start - b.start || b.words.length - a.words.length);
  let [html, end] = ["", 0];
  for (const { term, start, words } of places) {
    if (start < end) continue; // a part of a longer term
    html += `${escaped(text.slice(end, start))}<a class="term" href="#${idOf(term)}">${escaped(words)}</a>`;
    end = start + words.length;
  }
  return html + escaped(text.slice(end));
}

/** Text with what HTML and SVG would read as marks written out. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot" };
  return text.replace(/[&<>"]/g, (c) => `&${names[c]};`);
}
