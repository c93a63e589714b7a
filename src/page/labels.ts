/** A text for a point of a chart, in the chart's own units. */
export interface Label {
  readonly x: number;
  readonly y: number;
  /** Empty for a point that no text may cover. */
  readonly text: string;
}

/** A text where it is drawn, in pixels: the left end of its baseline. */
export type PlacedLabel = Label;

const FONT = { letter: 5.4, height: 11 };
/** Pixels between a point and its text. */
const GAP = 6;

/**
 * Texts above, below, right or left of their points, so that none covers another or a point;
 * those that find no room are left out.
 *
 * @param labels points in pixels, those first that matter most
 * @param bounds what no text goes beyond
 */
export function placeLabels(
  labels: readonly Label[],
  { left: leftmost, right, top }: Omit<Box, "bottom">,
): PlacedLabel[] {
  const boxes: Box[] = labels.map(({ x, y }) => boxOf(x - 4, y + 4, 8, 8));
  return labels.flatMap(({ x, y, text }) => {
    if (text === "") return [];
    const size = FONT.letter * text.length;
    const places = [
      [x - size / 2, y - GAP],
      [x - size / 2, y + GAP + FONT.height],
      [x + GAP, y + FONT.height / 3],
      [x - GAP - size, y + FONT.height / 3],
    ] as const;
    for (const [left, base] of places) {
      const box = boxOf(left, base, size, FONT.height);
      const isInside = box.left >= leftmost && box.right <= right && box.top >= top;
      if (!isInside || boxes.some((other) => touch(box, other))) continue;
      boxes.push(box);
      return [{ x: left, y: base, text }];
    }
    return [];
  });
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function boxOf(left: number, bottom: number, width: number, height: number): Box {
  return { left, right: left + width, top: bottom - height, bottom };
}

function touch(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
