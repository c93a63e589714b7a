import { termsOf } from "./glossary.ts";
import type { Page } from "./page.ts";

/** A page as Markdown; pictures are linked by name, as files beside it. */
export function pageMarkdown(page: Page): string {
  const parts = [`# ${page.title}`];
  if (page.made !== undefined) {
    const { command, date, version } = page.made;
    parts.push(`Made on ${date} by pyramidkv ${version}: \`${command}\``);
  }
  parts.push(...page.notes);
  page.sections.forEach((section, i) => {
    parts.push(`## ${section.title}`, ...section.notes);
    for (const table of section.tables) {
      parts.push(`### ${table.title}`, markdownTable(table.head, table.rows));
    }
    for (const chart of section.charts) {
      parts.push(`![${chart.caption}](${chartFile(i, chart.name)})`, chart.caption);
    }
  });
  const terms = termsOf(page);
  if (terms.length > 0) {
    const entries = terms.map(({ term, meaning }) => `- **${term}**: ${meaning}`);
    parts.push("## Words", entries.join("\n"));
  }
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
