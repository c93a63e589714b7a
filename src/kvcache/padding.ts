/** How many rows a cache gets beyond its tokens: see `capacityFor`. */
export type Padding = "full" | "compressed";

const COMPRESSED_STEP = 32;
/** libllama's step. ggml splits long caches over threads by their rows, padding included. */
const FULL_STEP = 256;
/** Tokens that a compressed cache makes room for at a time: the decode graph is rebuilt that often. */
const GROW_BY = 64;

const roundUp = (n: number, step: number) => Math.ceil(n / step) * step;

/**
 * Rows for `tokens` and one more. A cache that evicted nothing is padded as libllama pads its own, so
 * that decoding equals libllama's to the bit; a compressed one wastes as little as is practical.
 */
export function capacityFor(tokens: number, padding: Padding): number {
  const room = tokens + 1;
  return roundUp(room, padding === "full" && room > FULL_STEP ? FULL_STEP : COMPRESSED_STEP);
}

/** Rows that a cache moves to when it is nearly full. */
export function grownCapacity(tokens: number, padding: Padding): number {
  const grown = capacityFor(tokens + GROW_BY - 1, "compressed");
  if (padding === "compressed") return grown;
  return tokens < FULL_STEP ? Math.min(grown, FULL_STEP) : capacityFor(tokens, padding);
}

/** Tokens that a layer holds beyond its sliding window before those that slid out are evicted, all at once. */
export const WINDOW_SLACK = 64;

/** At most as many rows as a layer with this sliding window ever needs. */
export function windowed(rows: number, window: number | undefined): number {
  return window === undefined
    ? rows
    : Math.min(rows, capacityFor(window + WINDOW_SLACK, "compressed"));
}

/** Rows of room at an answer's start: at most what a cache grows by at once. */
export const ROOM_AT_START = 32;

/** A head's cache, from the end of the prompt to the end of an answer. */
export interface Growth {
  /** Tokens held after the prompt, and the most later. */
  readonly from: number;
  readonly to: number;
  /** Rows after the prompt. */
  readonly rows: number;
  readonly padding: Padding;
}

/** Rows of heads' caches at the end of an answer. They make room at its start; when one is full, all grow that can. */
export function rowsAtEnd(heads: readonly Growth[]): number[] {
  const rows = heads.map((head) => head.rows);
  const longest = Math.max(0, ...heads.map(({ from, to }) => to - from));
  const held = (i: number, t: number) => {
    const { from, to } = heads[i] as Growth;
    return Math.min(to, from + t);
  };
  const grow = (t: number) => {
    for (const [i, { padding }] of heads.entries()) {
      rows[i] = Math.max(rows[i] as number, grownCapacity(held(i, t), padding));
    }
  };
  const free = heads.map(({ from }, i) => (rows[i] as number) - from);
  if (Math.min(Infinity, ...free) < Math.min(longest, ROOM_AT_START)) grow(0);
  for (let t = 0; ;) {
    // The next token that one of them has no room for.
    const rooms = heads.flatMap(({ from, to }, i) =>
      to > (rows[i] as number) ? (rows[i] as number) - from : [],
    );
    if (rooms.length === 0) return rows;
    t = Math.max(t + 1, Math.min(...rooms));
    grow(t);
  }
}
