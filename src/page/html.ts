import type { Page, PageSection, Table } from "./page.ts";

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto; max-width: 84rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85rem }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid #e5e5e5; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
tbody tr:hover { background: #f6f8fa }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem 2rem; align-items: flex-end; margin-top: 1.5rem }
figure { margin: 0; max-width: 100% } figcaption { color: #555; font-size: 0.85rem; max-width: 40rem } svg { max-width: 100%; height: auto }`;

/** A page that needs nothing else. */
export function pageHtml(page: Page): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(page.title)}</title><style>${STYLE}</style></head>
<body>
<h1>${escaped(page.title)}</h1>
${page.notes.map(paragraph).join("\n")}
${page.sections.map(section).join("\n")}
</body>
</html>
`;
}

function section({ title, notes, tables, charts }: PageSection): string {
  const figures = charts.map(
    ({ svg, caption }) => `<figure>${svg}<figcaption>${escaped(caption)}</figcaption></figure>`,
  );
  return [
    ...[`<section><h2>${escaped(title)}</h2>`, ...notes.map(paragraph)],
    ...[...tables.map(table), `<div class="charts">`, ...figures, "</div></section>"],
  ].join("\n");
}

function table({ title, head, rows }: Table): string {
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
  const body = rows.map((cells) => line(cells, "td")).join("\n");
  return `<h3>${escaped(title)}</h3>
<div class="wide"><table><thead>${line(head, "th")}</thead><tbody>
${body}
</tbody></table></div>`;
}

function paragraph(text: string): string {
  return `<p>${escaped(text)}</p>`;
}

/** Text with what HTML and SVG would read as marks written out. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot" };
  return text.replace(/[&<>"]/g, (c) => `&${names[c]};`);
}
