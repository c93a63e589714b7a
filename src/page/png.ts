import sharp from "sharp";
import { PyramidKVError } from "../errors.ts";

/** Pixels for each unit of an SVG. */
const SCALE = 2;
/** What librsvg takes a unit of an SVG to be, in dots per inch. */
const UNIT_DPI = 72;

/** Shares as a picture: 0 is white, 1 dark blue. */
export interface ShareImage {
  readonly width: number;
  readonly height: number;
  /** [width, height], a row after the other. */
  readonly shares: Float32Array;
}

const INK = [8, 29, 88] as const;

/** The image as a PNG in a `data:` address, which an SVG can hold. */
export async function pngAddress({ width, height, shares }: ShareImage): Promise<string> {
  const pixels = new Uint8Array(3 * shares.length);
  shares.forEach((share, i) => {
    const ink = Math.min(1, Math.max(0, share));
    INK.forEach((color, c) => (pixels[3 * i + c] = Math.round(255 + (color - 255) * ink)));
  });
  const raw = { width, height, channels: 3 } as const;
  const png = await sharp(pixels, { raw, limitInputPixels: false })
    .png({ palette: true, colors: 64, dither: 0 })
    .toBuffer();
  return `data:image/png;base64,${png.toString("base64")}`;
}

/** An SVG as a PNG, twice as large. Text in it needs fonts of the system. */
export function svgToPng(svg: string): Promise<Buffer> {
  const density = SCALE * UNIT_DPI;
  return sharp(Buffer.from(svg), { density, limitInputPixels: false })
    .flatten({ background: "white" })
    .png()
    .toBuffer();
}

/**
 * Throws where the system has no font that text could be drawn with: it would be boxes.
 *
 * @throws `UNSUPPORTED`
 */
export async function requireFonts(): Promise<void> {
  if ((await widthOf("iiii")) < (await widthOf("WWWW"))) return;
  throw new PyramidKVError(
    "UNSUPPORTED",
    "PNG files need a font and the system has none; install one (fonts-dejavu), or use the SVG files",
  );
}

/** Pixels that a word covers. */
async function widthOf(word: string): Promise<number> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="100" height="20"><text x="5" y="15" font-family="sans-serif">${word}</text></svg>`;
  const drawn = sharp(Buffer.from(svg)).flatten({ background: "white" }).trim();
  return (await drawn.toBuffer({ resolveWithObject: true })).info.width;
}
