import { escaped } from "./html.ts";
import { pngAddress, type ShareImage } from "./png.ts";

export interface ContactSheet {
  /** Over the columns, and beside the rows. */
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** [rows][columns], all of one size. */
  readonly tiles: readonly (readonly ShareImage[])[];
  /** Pixels of the sheet for each share: larger for tiles of few shares. Defaults to 1. */
  readonly zoom?: number;
}

const GAP = 4;
const MARGIN = { left: 34, top: 22 };
/** A letter of the labels is about so wide. */
const LETTER = 6.5;

/** Small pictures beside each other, in rows and columns with their names, as one SVG that needs nothing else. */
export async function contactSheet({
  columns,
  rows,
  tiles,
  zoom = 1,
}: ContactSheet): Promise<string> {
  const [[first] = []] = tiles;
  const { width, height } = first as ShareImage;
  const label = Math.max(...columns.map((name) => LETTER * name.length));
  const step = {
    x: Math.ceil((Math.max(width * zoom, label) + GAP) / zoom),
    y: Math.ceil((height * zoom + GAP) / zoom),
  };
  const sheet = { width: columns.length * step.x, height: rows.length * step.y };
  const shares = new Float32Array(sheet.width * sheet.height);
  tiles.forEach((line, r) => {
    line.forEach((tile, c) => {
      for (let y = 0; y < height; y++) {
        const at = (r * step.y + y) * sheet.width + c * step.x;
        shares.set(tile.shares.subarray(y * width, (y + 1) * width), at);
      }
    });
  });
  const left = Math.max(MARGIN.left, ...rows.map((name) => 12 + LETTER * name.length));
  const at = (x: number, y: number) => ({ x: left + x * zoom, y: MARGIN.top + y * zoom });
  const frames = tiles.flatMap((line, r) =>
    line.map((_, c) => {
      const { x, y } = at(c * step.x, r * step.y);
      return `<rect x="${x - 0.5}" y="${y - 0.5}" width="${width * zoom + 1}" height="${height * zoom + 1}" fill="none" stroke="#aaa"/>`;
    }),
  );
  const text = (name: string, x: number, y: number, anchor: string) =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="currentColor">${escaped(name)}</text>`;
  const names = [
    ...columns.map((name, c) =>
      text(name, at(c * step.x + width / 2, 0).x, MARGIN.top - 8, "middle"),
    ),
    ...rows.map((name, r) => text(name, left - 6, at(0, r * step.y + height / 2).y + 4, "end")),
  ];
  const size = { width: left + sheet.width * zoom, height: MARGIN.top + sheet.height * zoom };
  const image = await pngAddress({ ...sheet, shares });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" font-family="system-ui, sans-serif" font-size="11">`,
    `<rect class="paper" width="100%" height="100%" fill="white"/>`,
    `<image x="${left}" y="${MARGIN.top}" width="${sheet.width * zoom}" height="${sheet.height * zoom}" href="${image}" style="image-rendering: pixelated" preserveAspectRatio="none"/>`,
    ...[...frames, ...names, "</svg>"],
  ].join("\n");
}
