import { dirname, join } from "node:path";
import { makeFolder, writeWhole } from "../files.ts";
import { loadPart } from "../optional.ts";
import { pageHtml } from "./html.ts";
import { chartFile, pageMarkdown } from "./markdown.ts";
import type { Page } from "./page.ts";

export interface WriteOptions {
  /** Whether every picture is written as PNG too. */
  readonly png?: boolean;
}

/**
 * Writes `<name>.html`, `<name>.md` and every picture as an SVG file into a folder, which is made.
 *
 * @throws `BAD_FILE` where it cannot be written
 */
export async function writePage(
  folder: string,
  name: string,
  page: Page,
  { png = false }: WriteOptions = {},
): Promise<void> {
  const pictures = page.sections.flatMap(({ charts }, i) =>
    charts.map((chart) => [chartFile(i, chart.name), chart.svg] as const),
  );
  await writeFiles(folder, {
    [`${name}.html`]: pageHtml(page),
    [`${name}.md`]: pageMarkdown(page),
    ...Object.fromEntries(pictures),
    ...(png ? await pngFiles(pictures) : {}),
  });
}

async function pngFiles(
  pictures: readonly (readonly [name: string, svg: string])[],
): Promise<Record<string, Buffer>> {
  const { svgToPng } = await loadPart("pages", () => import("./png.ts")); // loaded only where it is used
  const files: Record<string, Buffer> = {};
  for (const [name, svg] of pictures) {
    files[name.replace(/svg$/, "png")] = await svgToPng(svg);
  }
  return files;
}

/** Writes files, by their paths in a folder, which is made; throws `BAD_FILE` where that fails. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await makeFolder(dirname(path));
    await writeWhole(path, content);
  }
}
