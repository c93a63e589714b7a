import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { promptParts, type Sample } from "../run/sample.ts";
import { DATASETS, type Dataset } from "./datasets.ts";
import { readExamples } from "./examples.ts";
import { promptText, type Prompts } from "./prompts.ts";

/** Tokens that LongBench leaves of a context of 8,192: 7,500 of a prompt remain. */
export const RESERVED = 692;
/** 2: prompts are tokenized whole, an answer of one line may not begin with a newline. */
const VERSION = 2;

export interface LongBenchOptions {
  readonly datasets: readonly string[];
  /** A folder of `<name>.jsonl`. */
  readonly folder: string;
  readonly prompts: Prompts;
  /** Examples of each dataset. */
  readonly limit: number;
  /** Tokens of a prompt at most. Defaults to the context less 692, as published for 8,192. */
  readonly maxPrompt: number | undefined;
  readonly nCtx: number;
  readonly tokenizer: Tokenizer;
}

/** LongBench's examples as samples, and why lines were left out. Throws `BAD_FILE` before anything is run. */
export async function longBenchSamples(
  o: LongBenchOptions,
): Promise<{ samples: Sample[]; problems: string[] }> {
  const samples: Sample[] = [];
  const problems: string[] = [];
  const most = o.maxPrompt ?? Math.max(64, o.nCtx - RESERVED);
  for (const name of o.datasets) {
    const { metric, firstLine, oneLine, maxTokens, chat } = DATASETS[name] as Dataset;
    const read = await readExamples(o.folder, name, o.limit);
    problems.push(...read.problems);
    for (const example of read.examples) {
      const prompt = promptText(o.prompts, name, example);
      samples.push({
        task: `longbench/${name}`,
        version: VERSION,
        id: example.id,
        truth: example.truth,
        maxTokens,
        scored: { metric, firstLine },
        // As published, an answer of one line may not be an empty one (pred.py: min_length).
        ...(oneLine === true && { stop: ["\n"], minTokens: 1 }),
        prompts: o.prompts.name,
        ...(example.length !== undefined && { facts: { length: example.length } }),
        parts: () => promptParts(o.tokenizer, prompt, { most, chat }),
      });
    }
  }
  return { samples, problems };
}
