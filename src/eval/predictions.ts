import { createReadStream } from "node:fs";
import { PyramidKVError } from "../errors.ts";
import { cannotRead } from "../files.ts";
import type { Truth } from "./metrics.ts";

/** A line of predictions made elsewhere. */
export interface PredictionLine extends Truth {
  readonly prediction: string;
  /** Length of the context, in words. */
  readonly length?: number | undefined;
}

/**
 * Reads `{ prediction, answers, allClasses?, length? }` a line, with LongBench's own names `pred` and `all_classes`
 * too.
 *
 * @throws `BAD_FILE`, naming the line
 */
export async function readPredictions(path: string): Promise<PredictionLine[]> {
  const out: PredictionLine[] = [];
  let at = 0;
  for await (const line of linesOf(path)) {
    at++;
    if (line.trim() !== "") out.push(parsePrediction(line, `${path}: line ${at}`));
  }
  if (out.length === 0) throw new PyramidKVError("BAD_FILE", `${path} holds no predictions`);
  return out;
}

/**
 * A text file's lines, which end at "\n" alone: U+2028 and the like may stand within JSON. Throws `BAD_FILE` where it
 * cannot be read.
 */
export async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  let rest = "";
  try {
    for await (const part of createReadStream(path, "utf8")) {
      const lines = (rest + (part as string)).split("\n");
      rest = lines.pop() as string;
      yield* lines;
    }
  } catch (error) {
    throw cannotRead(path, error);
  }
  if (rest !== "") yield rest;
}

function parsePrediction(line: string, where: string): PredictionLine {
  const o = parseObject(line, where);
  const prediction = o.prediction ?? o.pred;
  if (typeof prediction !== "string") {
    throw new PyramidKVError("BAD_FILE", `${where} has no "prediction" that is a text`);
  }
  const length = typeof o.length === "number" ? o.length : undefined;
  return { prediction, length, ...truthOf(o, where) };
}

/** A line's JSON object. */
export function parseObject(line: string, where: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
  } catch {
    // Named below, like JSON that is no object.
  }
  throw new PyramidKVError("BAD_FILE", `${where} is no JSON object`);
}

/** The answers and classes of a line. */
export function truthOf(o: Readonly<Record<string, unknown>>, where: string): Truth {
  const answers = o.answers ?? o.outputs;
  const classes = o.allClasses ?? o.all_classes ?? undefined;
  if (!isTexts(answers)) {
    throw new PyramidKVError("BAD_FILE", `${where} has no "answers" that are a list of texts`);
  }
  if (classes !== undefined && !isTexts(classes)) {
    throw new PyramidKVError("BAD_FILE", `${where} has classes that are no list of texts`);
  }
  return { answers, classes };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((v) => typeof v === "string");
}
