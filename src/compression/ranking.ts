/** How one kv head ranks its tokens: higher is kept first. */
export interface Ranking {
  readonly scores: Float32Array;
  /** A second opinion, which chooses `share` of what the sinks and the window leave, of what the first did not choose. */
  readonly second?: { readonly scores: Float32Array; readonly share: number };
}
