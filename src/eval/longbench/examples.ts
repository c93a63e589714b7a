import { join } from "node:path";
import { PyramidKVError } from "../../errors.ts";
import type { Truth } from "../metrics.ts";
import { linesOf, parseObject, truthOf } from "../predictions.ts";

/** A line of a dataset, as LongBench's files have them. */
export interface Example {
  readonly id: string;
  readonly context: string;
  readonly input: string;
  readonly truth: Truth;
  /** Length of the context: words, or characters of Chinese. */
  readonly length: number | undefined;
}

export interface Examples {
  readonly examples: readonly Example[];
  /** Why lines were left out, in words. */
  readonly problems: readonly string[];
}

/**
 * The first examples of `<name>.jsonl` in a folder. Lines that cannot be used are named and left out.
 *
 * @throws `BAD_FILE` where the file is not there or holds nothing of use
 */
export async function readExamples(folder: string, name: string, limit: number): Promise<Examples> {
  const path = join(folder, `${name}.jsonl`);
  const examples: Example[] = [];
  const problems: string[] = [];
  let at = 0;
  for await (const line of linesOf(path)) {
    at++;
    if (examples.length === limit) break;
    if (line.trim() === "") continue;
    try {
      examples.push(parseExample(line, `${path}: line ${at}`, at));
    } catch (error) {
      if (!(error instanceof PyramidKVError)) throw error;
      problems.push(error.message);
    }
  }
  if (examples.length === 0) {
    const why = problems[0] === undefined ? "" : `; ${problems[0]}`;
    throw new PyramidKVError("BAD_FILE", `${path} holds no examples${why}`);
  }
  return { examples, problems };
}

function parseExample(line: string, where: string, at: number): Example {
  const o = parseObject(line, where);
  const { context, input, length, _id: id } = o;
  if (typeof context !== "string" || typeof input !== "string") {
    throw new PyramidKVError("BAD_FILE", `${where} has no "context" and "input" that are texts`);
  }
  return {
    context,
    input,
    id: typeof id === "string" && id !== "" ? id : `line ${at}`,
    truth: truthOf(o, where),
    length: typeof length === "number" ? length : undefined,
  };
}
