import { basename } from "node:path/posix";
import { PyramidKVError } from "../errors.ts";
import { partNames, wholeName } from "../gguf/split.ts";
import { suggestion } from "../nearest.ts";

/** A model on the hub: `owner/repo`, and which of its GGUF files. */
export interface HubModel {
  readonly repo: string;
  /** How its weights are stored, such as `Q4_K_M`, as at the end of the file's name; or that name. */
  readonly quant: string | undefined;
}

/** Which file to take when none is named, best first. */
const PREFERRED = ["Q4_K_M", "Q4_0", "Q4_1", "Q8_0", "F16", "BF16"];

const GGUF = /\.gguf$/i;
/** What lies beside a model: projectors, statistics for quantizing, drafts, adapters. */
const BESIDE = /(^|[-._/])(mmproj|imatrix|draft|mtp|eagle\d*|lora|adapter)(?=[-._/]|$)/i;
/** How weights are stored, at the end of a file's name: `Q4_K_M`, `UD-Q4_K_XL`, `IQ2_XXS`, `bf16`, `MXFP4`. */
const QUANT = /(?:^|[-._/])((?:UD-)?(?:I?Q\d\w*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4\w*))\.gguf$/i;

/**
 * The file that a model's name asks for; of a model in parts, the first one.
 *
 * @throws `USAGE` with the files there are
 */
export function chooseFile<T>(
  model: HubModel,
  files: readonly T[],
  pathOf: (file: T) => string,
): T {
  const weights = files.filter((file) => GGUF.test(pathOf(file)));
  const whole = weights.filter((file) => partNames(pathOf(file))[0] === pathOf(file));
  const models = whole.filter((file) => !BESIDE.test(pathOf(file)));
  const byQuant = (quant: string) =>
    shortest(
      models.filter((file) => quantOf(pathOf(file))?.toUpperCase() === quant.toUpperCase()),
      pathOf,
    );
  const { quant } = model;
  const found =
    quant === undefined
      ? (PREFERRED.map(byQuant).find((file) => file !== undefined) ?? onlyOne(models))
      : (byQuant(quant) ?? byName(quant, whole, pathOf));
  if (found !== undefined) return found;
  throw new PyramidKVError("USAGE", refusal(model, models.map(pathOf)));
}

/** `Q4_K_M` of `model-Q4_K_M.gguf`. */
function quantOf(path: string): string | undefined {
  return QUANT.exec(wholeName(path))?.[1];
}

/** The file whose name, or the end of it from a separator on, is `name`. */
function byName<T>(name: string, files: readonly T[], pathOf: (file: T) => string): T | undefined {
  const wanted = wholeName(name).replace(GGUF, "").toLowerCase();
  const endsSo = (file: T) => {
    const stem = wholeName(basename(pathOf(file)))
      .replace(GGUF, "")
      .toLowerCase();
    if (stem === wanted) return true;
    // A known way to store weights has been looked for as a whole: BF16 is no F16.
    return (
      QUANT.exec(`${wanted}.gguf`) === null && new RegExp(`[-._]${escape(wanted)}$`).test(stem)
    );
  };
  return shortest(files.filter(endsSo), pathOf);
}

const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

const onlyOne = <T>(files: readonly T[]) => (files.length === 1 ? files[0] : undefined);

function shortest<T>(files: readonly T[], pathOf: (file: T) => string): T | undefined {
  return [...files].sort((a, b) => pathOf(a).length - pathOf(b).length)[0];
}

function refusal({ repo, quant }: HubModel, models: readonly string[]): string {
  const names = models.map((path) => quantOf(path) ?? path);
  const near = quant === undefined ? "" : suggestion(quant, names);
  const what = quant === undefined ? "that is preferred" : `for "${quant}"`;
  const files = models.join(", ") || "none";
  return `${repo} has no .gguf ${what}${near}; its files: ${files}`;
}
