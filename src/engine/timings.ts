/** What a session's time went into, in milliseconds. */
export class SessionTimings {
  prefillTokens = 0;
  /** Whole prefills, compression included. */
  prefillMs = 0;
  /** The share of `prefillMs` spent on selecting and compacting; scores come with the prompt's own graphs. */
  compressMs = 0;
  decodedTokens = 0;
  decodeMs = 0;
  /** The share of `decodeMs` spent inside ggml. */
  decodeComputeMs = 0;

  addPrefill(tokens: number, ms: number, compressMs: number): void {
    this.prefillTokens += tokens;
    this.prefillMs += ms;
    this.compressMs += compressMs;
  }

  addDecode(ms: number, computeMs: number): void {
    this.decodedTokens++;
    this.decodeMs += ms;
    this.decodeComputeMs += computeMs;
  }
}
