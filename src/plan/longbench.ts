/** Mean prompt lengths of LongBench's datasets in tokens, and the KV sizes of PyramidKV's tables (arXiv 2406.02069). */
export const LONGBENCH_LENGTHS = {
  NrtvQA: 18_409,
  Qasper: 3619,
  "MF-en": 4559,
  HotpotQA: 9151,
  "2WikiMQA": 4887,
  Musique: 11_214,
  GovReport: 8734,
  QMSum: 10_614,
  MultiNews: 2113,
  TREC: 5177,
  TriviaQA: 8209,
  SAMSum: 6258,
  PCount: 11_141,
  PRe: 9289,
  Lcc: 1235,
  "RB-P": 4206,
} as const;

export const LONGBENCH_SIZES = [64, 96, 128, 256, 2048] as const;

export interface CompressionRates {
  readonly kvSizes: readonly number[];
  readonly datasets: readonly {
    readonly name: string;
    readonly averageLength: number;
    /** kvSize over the mean prompt length, one a size; from 1 on, nothing is dropped. */
    readonly rates: readonly number[];
  }[];
}

export function longbenchRates(kvSizes: readonly number[] = LONGBENCH_SIZES): CompressionRates {
  return {
    kvSizes,
    datasets: Object.entries(LONGBENCH_LENGTHS).map(([name, averageLength]) => ({
      name,
      averageLength,
      rates: kvSizes.map((size) => size / averageLength),
    })),
  };
}
