import { PyramidKVError } from "../../errors.ts";
import { linesOf, parseObject, truthOf } from "../predictions.ts";
import type { Question } from "./generators.ts";

/** Reads `{ question, answers, document }` a line. Throws `BAD_FILE`, naming the line. */
export async function readQuestions(path: string): Promise<Question[]> {
  const out: Question[] = [];
  let at = 0;
  for await (const line of linesOf(path)) {
    at++;
    if (line.trim() === "") continue;
    const where = `${path}: line ${at}`;
    const o = parseObject(line, where);
    const { question, document } = o;
    if (typeof question !== "string" || typeof document !== "string") {
      throw new PyramidKVError(
        "BAD_FILE",
        `${where} has no "question" and "document" that are texts`,
      );
    }
    out.push({ question, document, answers: truthOf(o, where).answers });
  }
  if (new Set(out.map(({ document }) => document)).size < 2) {
    throw new PyramidKVError("BAD_FILE", `${path} holds fewer than two documents`);
  }
  return out;
}
