import type { CompressionOptions } from "../compression/compression-options.ts";
import type { HeadProfile } from "../compression/profile.ts";
import { resolveCompression, type Compression } from "../compression/resolve.ts";
import { PyramidKVError, requireInteger } from "../errors.ts";
import { kvFormat, type KvFormat } from "../kvcache/kv-format.ts";
import { requireOneSize, tokensWithin } from "../kvcache/token-bytes.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { readOptions, type Named } from "../options.ts";
import { SESSION_OPTIONS } from "./option-tables.ts";

export { KV_TYPES } from "../kvcache/kv-format.ts";

export interface SessionOptions extends CompressionOptions {
  /** Bytes that the kept keys and values may take, instead of `kvSize`: the largest size that fits, padding aside. */
  readonly kvBytes?: number;
  /** Type of the cached keys and values, one of `KV_TYPES`. Defaults to `f16`. */
  readonly kvType?: string;
  /** Tokens per layer, averaged, beyond which later turns are compressed again. Defaults to 2 · kvSize. */
  readonly kvLimit?: number;
}

/** What of a model a session's options are checked against. */
type ModelHeads = Pick<HyperParameters, "layers" | "compressible" | "nHeadKv">;

/** What a session's options come to on a model. */
export interface ResolvedSession {
  readonly compression: Compression;
  readonly format: KvFormat;
  readonly kvLimit: number;
}

/**
 * A session's options on a model, checked.
 *
 * @throws `USAGE` on unknown options, values of a wrong kind and what does not fit together
 */
export function resolveSession(
  given: SessionOptions,
  model: ModelHeads,
  profile: HeadProfile | undefined,
): ResolvedSession {
  const { kvType = "f16", kvLimit, kvBytes, ...rest } = readSessionOptions(given);
  const format = kvFormat(kvType, model);
  const size = kvBytes === undefined ? {} : { kvSize: tokensWithin(kvBytes, model, format.type) };
  const compression = resolveCompression({ ...rest, ...size }, profile);
  if (typeof rest.profile === "object") requireProfile(rest.profile, model);
  const { kvSize } = compression.options;
  return {
    compression,
    format,
    kvLimit: requireInteger("kvLimit", kvLimit ?? 2 * kvSize, kvSize),
  };
}

/** The compression that a session's options ask for, its size in tokens: for checks before there is a model. */
export function sessionCompression(given: SessionOptions, profile?: HeadProfile): Compression {
  const { kvType: _, kvLimit: __, kvBytes: ___, ...rest } = readSessionOptions(given);
  return resolveCompression(rest, profile);
}

function readSessionOptions(given: SessionOptions): SessionOptions {
  const options = readOptions(
    "createSession",
    SESSION_OPTIONS satisfies Named<SessionOptions>,
    given,
  );
  requireOneSize(options);
  return options;
}

/** Whether a profile is of the layers and heads that methods act on in this model. */
export function fitsModel(
  { weights }: HeadProfile,
  { compressible, nHeadKv }: Pick<ModelHeads, "compressible" | "nHeadKv">,
): boolean {
  return weights.length === compressible.length && weights[0]?.length === nHeadKv;
}

function requireProfile(profile: HeadProfile, model: ModelHeads): void {
  if (fitsModel(profile, model)) return;
  const [layers, heads] = [profile.weights.length, profile.weights[0]?.length ?? 0];
  throw new PyramidKVError(
    "USAGE",
    `the profile is of ${layers} layers and ${heads} kv heads, the model has ${model.compressible.length} and ${model.nHeadKv}`,
  );
}
