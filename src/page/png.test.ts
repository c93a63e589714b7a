import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { contactSheet } from "./contact-sheet.ts";
import { pngAddress, svgToPng } from "./png.ts";

async function pixels(address: string) {
  const png = Buffer.from(address.replace("data:image/png;base64,", ""), "base64");
  const { data, info } = await sharp(png)
    .removeAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) =>
    Array.from(data.subarray(3 * (y * info.width + x)).subarray(0, 3));
  return { ...info, at };
}

describe("pictures of shares", () => {
  it("are white for 0, dark for 1 and more, and blue between", async () => {
    const shares = Float32Array.of(0, 1, 7, -1, 0.5, NaN);
    const { width, height, at } = await pixels(await pngAddress({ width: 3, height: 2, shares }));
    expect([width, height]).toEqual([3, 2]);
    expect([at(0, 0), at(1, 0), at(2, 0), at(0, 1)]).toEqual([
      [255, 255, 255],
      [8, 29, 88],
      [8, 29, 88],
      [255, 255, 255],
    ]);
    expect(at(1, 1)[0]).toBeCloseTo(132, -1);
  });

  it("lie beside each other on a sheet, none a pixel off", async () => {
    const tile = (share: number) => ({
      width: 2,
      height: 2,
      shares: new Float32Array(4).fill(share),
    });
    const svg = await contactSheet({
      columns: ["<", "c"],
      rows: ["0", "1"],
      tiles: [
        [tile(1), tile(0)],
        [tile(0), tile(1)],
      ],
    });
    expect(svg).toContain("&lt;");
    const { at } = await pixels(/href="([^"]+)"/.exec(svg)?.[1] ?? "");
    const dark = (x: number, y: number) => (at(x, y)[0] as number) < 100;
    for (const [x, y] of [[0, 0], [1, 1], [11, 6], [12, 7]] as const) expect(dark(x, y)).toBe(true); // prettier-ignore
    for (const [x, y] of [[2, 0], [11, 0], [0, 6], [10, 5]] as const) expect(dark(x, y)).toBe(false); // prettier-ignore
  });
});

it("an SVG becomes a PNG twice as large", async () => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20" fill="red"/></svg>`;
  const { format, width, height } = await sharp(await svgToPng(svg)).metadata();
  expect({ format, width, height }).toEqual({ format: "png", width: 60, height: 40 });
});
