import { PyramidKVError } from "../errors.ts";
import type { TensorInfo } from "../gguf/parse.ts";
import type { Architecture, TensorRule, TensorRules } from "./architecture.ts";
import type { HyperParameters } from "./hyper-parameters.ts";

/** One weight that a model uses: its field, its layer (-1: the model's own) and its place in the file. */
export interface PlannedWeight {
  readonly field: string;
  readonly il: number;
  readonly rule: TensorRule;
  readonly info: TensorInfo;
}

/**
 * Matches a file's tensors against the architecture's rules. Nothing is loaded before every tensor
 * is there, has the expected shape and a type that its operation takes, and none is left over:
 * ggml would abort on a bad shape, and an ignored tensor means wrong numbers.
 *
 * @throws `BAD_FILE` that names the tensor, what it is and what was expected
 */
export function planWeights(
  architecture: Architecture,
  hp: HyperParameters,
  tensors: ReadonlyMap<string, TensorInfo>,
): PlannedWeight[] {
  const planned: PlannedWeight[] = [];
  const match = (rules: TensorRules, il: number) => {
    for (const [field, rule] of Object.entries(rules)) {
      const info = tensors.get(rule.name);
      if (info !== undefined) {
        checkTensor(rule, info);
        planned.push({ field, il, rule, info });
      } else if (rule.optional !== true) {
        throw new PyramidKVError("BAD_FILE", `the tensor ${rule.name} is missing`);
      }
    }
  };
  match(architecture.modelTensors(hp), -1);
  for (let il = 0; il < hp.nLayer; il++) match(architecture.layerTensors(hp, il), il);

  const used = new Set(planned.map((p) => p.info.name));
  const isLeft = (name: string) => !used.has(name) && architecture.ignores?.(hp, name) !== true;
  const extra = [...tensors.keys()].filter(isLeft);
  if (extra.length > 0) {
    const more = extra.length > 1 ? ` and ${extra.length - 1} more` : "";
    throw new PyramidKVError(
      "UNSUPPORTED",
      `the ${architecture.name} architecture has no tensor ${extra[0]}${more}`,
    );
  }
  return planned;
}

function checkTensor(rule: TensorRule, info: TensorInfo): void {
  const shape = trimOnes(info.shape);
  const expected = trimOnes(rule.shape);
  if (shape.length !== expected.length || shape.some((n, i) => n !== expected[i])) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${info.name} has the shape [${shape.join(", ")}], [${expected.join(", ")}] was expected`,
    );
  }
  checkPart(rule, info);
  // Norms, biases and RoPE factors enter element-wise operations, which take f32.
  const isVector = rule.shape.length === 1 || rule.isVectors === true;
  if (isVector ? info.type.name !== "f32" : !info.type.weight) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${info.name} is of type ${info.type.name}, ${isVector ? "f32" : "a weight type"} was expected`,
    );
  }
}

/** Blocks of a quantized row must not lie in two of its parts. */
function checkPart({ part }: TensorRule, { name, type }: TensorInfo): void {
  if (part === undefined || part % type.blockSize === 0) return;
  throw new PyramidKVError(
    "UNSUPPORTED",
    `${name} is of type ${type.name}, in blocks of ${type.blockSize}; parts of ${part} elements cannot be read from it`,
  );
}

function trimOnes(shape: readonly number[]): readonly number[] {
  let end = shape.length;
  while (end > 1 && shape[end - 1] === 1) end--;
  return shape.slice(0, end);
}
