/** What `generate --json` prints, as far as tests read it. */
export interface GenerateResult {
  text: string;
  tokens: number[];
  promptTokens: number;
  finishReason: string;
  method: { name: string; kvSize: number | null };
  kv: {
    fullBytes: number;
    bytes: number;
    endBytes: number;
    peakBytes: number;
    meanKept: number;
    layers: {
      layer: number;
      kept: number;
      capacity: number;
      bytes: number;
      positions?: number[][];
    }[];
  };
  timings: Record<string, number>;
  model: Record<string, unknown>;
}

export const LONG = "many words make a long prompt ".repeat(20);
