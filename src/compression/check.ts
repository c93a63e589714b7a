import { describeValue, PyramidKVError } from "../errors.ts";
import { checkOption, type OptionTable } from "../options.ts";
import type { BudgetPolicy } from "./budgets/budget.ts";
import { EVIDENCE, type LayerEvidence } from "./evidence.ts";
import { PROBES, type Method, type Scorer } from "./method.ts";
import { COMPRESSION_OPTIONS } from "./option-table.ts";
import { ROUNDINGS } from "./options.ts";
import type { Ranking } from "./ranking.ts";
import type { Recipe } from "./recipe.ts";

/** What a budget policy of each kind divides with. */
const DIVIDES: Readonly<Record<BudgetPolicy["kind"], readonly string[]>> = {
  layers: ["layers"],
  heads: ["heads"],
  split: ["layers", "split"],
  weighed: ["weigh", "least"],
  measured: ["measure"],
};

/**
 * Checks that a method has all its parts: somebody may have written it by hand.
 *
 * @throws `USAGE` naming the part
 */
export function checkMethod(method: unknown): asserts method is Method {
  const { name, needs, score, budget, options } = fieldsOf(method, "method, unless it is a name,");
  const where = `the method ${typeof name === "string" ? name : "given"}`;
  const refuse = (part: string, value: unknown) => {
    throw new PyramidKVError("USAGE", `${where}: ${part}, got ${describeValue(value)}`);
  };
  if (typeof name !== "string" || name === "") refuse("its name must be text", name);
  if (typeof score !== "function") refuse("its score must be a function", score);
  if (!Array.isArray(needs)) refuse("its needs must be a list of evidence", needs);
  const unknown = (needs as unknown[]).find((kind) => !Object.hasOwn(EVIDENCE, String(kind)));
  if (unknown !== undefined) {
    refuse(`its needs must be of ${Object.keys(EVIDENCE).join(", ")}`, unknown);
  }
  if (!Array.isArray(options)) refuse("its options must be a list of names", options);
  const policy = fieldsOf(budget, `${where}: its budget`);
  const kinds = Object.keys(DIVIDES);
  if (!kinds.includes(policy.kind as string)) {
    refuse(`the kind of its budget must be one of ${kinds.join(", ")}`, policy.kind);
  }
  for (const part of DIVIDES[policy.kind as BudgetPolicy["kind"]]) {
    if (typeof policy[part] !== "function") {
      refuse(`its budget's ${part} must be a function`, policy[part]);
    }
  }
  const more = method as Partial<Method>;
  const run = Object.keys(PARTS).find((part) => part !== "probe" && part in more);
  if (run !== undefined) {
    refuse(
      `its ${run} says how it is run: give { method, ${run} } instead`,
      more[run as keyof Method],
    );
  }
  if (more.probe !== undefined) checkOption(`${where}: its probe`, PARTS.probe, more.probe);
  for (const [option, value] of Object.entries(
    fieldsOf(more.defaults ?? {}, `${where}: its defaults`),
  )) {
    const spec = DEFAULTS[option];
    if (spec === undefined)
      refuse(`its defaults must be of ${Object.keys(DEFAULTS).join(", ")}`, option);
    else checkOption(`${where}: its default ${option}`, spec, value);
  }
}

/**
 * Checks a recipe: a method that somebody may have written by hand, and how it is to be run.
 *
 * @throws `USAGE` naming the part
 */
export function checkRecipe(recipe: unknown): asserts recipe is Recipe {
  const parts = fieldsOf(recipe, "recipe");
  checkMethod(parts.method);
  const { name } = parts.method;
  const unknown = Object.keys(parts).find(
    (part) => part !== "method" && !Object.hasOwn(PARTS, part),
  );
  if (unknown !== undefined) {
    throw new PyramidKVError(
      "USAGE",
      `the recipe of ${name} has no ${unknown}; its parts are method, ${Object.keys(PARTS).join(", ")}`,
    );
  }
  for (const [part, spec] of Object.entries(PARTS)) {
    const value = parts[part];
    if (value !== undefined) checkOption(`the recipe of ${name}: its ${part}`, spec, value);
  }
}

/** How a method may be run. */
const PARTS = {
  every: { kind: "integer", min: 1 },
  carries: { kind: "number", min: 0.01, max: 1 },
  merges: { kind: "number", min: 0, max: 1 },
  probe: { kind: "choice", of: PROBES },
  rerotates: { kind: "boolean" },
} as const satisfies OptionTable;

const DEFAULTS: OptionTable = {
  ...COMPRESSION_OPTIONS,
  rounding: { kind: "choice", of: ROUNDINGS },
};

function fieldsOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new PyramidKVError("USAGE", `${what} must be an object, got ${describeValue(value)}`);
}

/**
 * Checks what a method returned for a layer: for each kv head null, or a score for each of its tokens.
 *
 * @param isOurs whether the method cannot be at fault: what is no number then comes from the model
 * @throws `USAGE` naming the method, the field, the layer and the head; `NATIVE` on what is the model's fault
 */
export function checkRankings(
  name: string,
  { il, heads }: LayerEvidence,
  rankings: unknown,
  isOurs = false,
): asserts rankings is readonly (Ranking | null)[] {
  const refuse = (field: string, why: string): never => {
    throw new PyramidKVError("USAGE", `${name}: ${field} of layer ${il}${why}`);
  };
  if (!Array.isArray(rankings)) {
    refuse(
      "score",
      ` must return a list with an entry per kv head, got ${describeValue(rankings)}`,
    );
  }
  const perHead = rankings as readonly unknown[];
  if (perHead.length !== heads.length) {
    refuse("score", ` returned ${perHead.length} entries, the layer has ${heads.length} kv heads`);
  }
  for (const [h, { n }] of heads.entries()) {
    const ranking = perHead[h];
    if (ranking === null) continue;
    const { scores, second } = fieldsOf(ranking, `${name}: score of layer ${il}, head ${h},`);
    const checked: [string, unknown][] = [["scores", scores]];
    if (second !== undefined) {
      const other = fieldsOf(second, `${name}: second of layer ${il}, head ${h},`);
      checked.push(["second scores", other.scores]);
      const isShare = typeof other.share === "number" && other.share >= 0 && other.share <= 1;
      if (!isShare) {
        refuse("second share", `, head ${h}, must be 0 to 1, got ${describeValue(other.share)}`);
      }
    }
    for (const [field, values] of checked) {
      const why = wrongScores(values, n);
      const isLong = values instanceof Float32Array && values.length === n;
      if (why !== undefined && isLong && isOurs) {
        throw new PyramidKVError(
          "NATIVE",
          `what the model computed in layer ${il}, head ${h}, is not finite: a weight is damaged or a value overflowed; check the file, or try --kernels ggml`,
        );
      }
      if (why !== undefined) refuse(field, `, head ${h}, ${why}`);
    }
  }
}

/** The scorer of a method of one's own, checked before anything is made of its scores. */
export function checkedScore({ name, score }: Method): Scorer {
  return (layer, options) => {
    const rankings: unknown = score(layer, options);
    checkRankings(name, layer, rankings);
    return rankings;
  };
}

function wrongScores(values: unknown, n: number): string | undefined {
  if (!(values instanceof Float32Array)) {
    return `must be a Float32Array, got ${describeValue(values)}`;
  }
  if (values.length !== n) return `are ${values.length} for ${n} tokens`;
  for (let i = 0; i < n; i++) if (Number.isNaN(values[i])) return `have NaN for token ${i}`;
  return undefined;
}

/**
 * Checks budgets that a policy returned for a layer: whole numbers of at least `min`, one a kv head.
 *
 * @param min 0 where small budgets are raised afterwards
 * @throws `USAGE` naming the method, the policy's field, the layer and the head
 */
export function checkBudgets(
  name: string,
  field: string,
  il: number,
  nHeadKv: number,
  budgets: unknown,
  min: 0 | 1 = 1,
): asserts budgets is number[] {
  requireLength(name, field, `layer ${il}`, nHeadKv, "kv heads", budgets);
  for (const [h, budget] of budgets.entries()) {
    if (Number.isInteger(budget) && (budget as number) >= min) continue;
    throw new PyramidKVError(
      "USAGE",
      `${name}: ${field} of layer ${il}, head ${h}, must be a whole number of at least ${min}, got ${describeValue(budget)}`,
    );
  }
}

/** Checks weights, which are not negative. Throws `USAGE` as `checkBudgets` does. */
export function checkWeights(
  name: string,
  il: number,
  nHeadKv: number,
  weights: unknown,
): asserts weights is number[] {
  requireLength(name, "weigh", `layer ${il}`, nHeadKv, "kv heads", weights);
  for (const [h, weight] of weights.entries()) {
    if (Number.isFinite(weight) && (weight as number) >= 0) continue;
    throw new PyramidKVError(
      "USAGE",
      `${name}: weigh of layer ${il}, head ${h}, must be a number of at least 0, got ${describeValue(weight)}`,
    );
  }
}

/** Throws `USAGE` unless `values` is a list with an entry for each of `n` layers or kv heads. */
export function requireLength(
  name: string,
  field: string,
  of: string,
  n: number,
  what: string,
  values: unknown,
): asserts values is unknown[] {
  if (!Array.isArray(values)) {
    throw new PyramidKVError(
      "USAGE",
      `${name}: ${field} of ${of} must return a list, got ${describeValue(values)}`,
    );
  }
  if (values.length === n) return;
  throw new PyramidKVError(
    "USAGE",
    `${name}: ${field} of ${of} returned ${values.length} entries, there are ${n} ${what}`,
  );
}
