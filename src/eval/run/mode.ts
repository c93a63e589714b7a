/** Whether the question is part of the prompt when it is compressed, or comes after. */
export const MODES = ["aware", "agnostic"] as const;
export type QualityMode = (typeof MODES)[number];
