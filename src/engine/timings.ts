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

  get prefillTokensPerSecond(): number {
    return perSecond(this.prefillTokens, this.prefillMs);
  }

  get decodeTokensPerSecond(): number {
    return perSecond(this.decodedTokens, this.decodeMs);
  }

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

function perSecond(tokens: number, ms: number): number {
  return ms > 0 ? (tokens / ms) * 1000 : 0;
}
