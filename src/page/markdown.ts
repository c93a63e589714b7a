import type { Page } from "./page.ts";

/** A page as Markdown; pictures are linked by name, as files beside it. */
export function pageMarkdown(page: Page): string {
  const parts = [`# ${page.title}`, ...page.notes];
  page.sections.forEach((section, i) => {
    parts.push(`## ${section.title}`, ...section.notes);
    for (const table of section.tables) {
      parts.push(`### ${table.title}`, markdownTable(table.head, table.rows));
    }
    for (const chart of section.charts) {
      parts.push(`![${chart.caption}](${chartFile(i, chart.name)})`, chart.caption);
    }
  });
  return `${parts.join("\n\n")}\n`;
}

/** The path of a section's picture, beside the page. */
export function chartFile(section: number, name: string): string {
  return `pictures/${section + 1}-${name}.svg`;
}

/** A table as Markdown. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
