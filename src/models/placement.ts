import type { Device } from "../ggml/device.ts";

/** Which device holds and computes which part of a model. */
export interface Placement {
  /** Looks up the tokens' embeddings. */
  readonly embedding: Device;
  /** Computes a layer, and holds its cache. */
  device(il: number): Device;
  /** Computes the logits. */
  readonly output: Device;
}

/** Layers in a row on one device: a decode step passes them as one graph. */
export interface Stage {
  readonly device: Device;
  /** The layers `[first, end)`; none where only embeddings are looked up, or only logits computed. */
  readonly first: number;
  readonly end: number;
  /** Whether it begins with the tokens' embeddings, and ends with the logits. */
  readonly embeds: boolean;
  readonly givesLogits: boolean;
}

/** A model as a whole on one device. */
export function placedOn(device: Device): Placement {
  return { embedding: device, device: () => device, output: device };
}

/** A model's layers in parts, in their order: the first device has the embeddings as well, the last one the logits. */
export function placedOver(parts: readonly [DevicePart, ...DevicePart[]]): Placement {
  const ends = parts.map((_, i) => parts.slice(0, i + 1).reduce((sum, p) => sum + p.nLayer, 0));
  const last = parts.at(-1)?.device ?? parts[0].device;
  return {
    embedding: parts[0].device,
    device: (il) => parts[ends.findIndex((end) => il < end)]?.device ?? last,
    output: last,
  };
}

export interface DevicePart {
  readonly device: Device;
  readonly nLayer: number;
}

/** What of a model runs where, in the order of a step. */
export function stagesOf(placement: Placement, nLayer: number): Stage[] {
  const stages: Stage[] = [];
  const add = (device: Device, part: Partial<Stage>, at: number) => {
    const before = stages.at(-1);
    if (before?.device === device) stages[stages.length - 1] = { ...before, ...part };
    else {
      const empty = { first: at, end: at, embeds: false, givesLogits: false };
      stages.push({ ...empty, ...part, device });
    }
  };
  add(placement.embedding, { embeds: true }, 0);
  for (let il = 0; il < nLayer; il++) add(placement.device(il), { end: il + 1 }, il);
  add(placement.output, { givesLogits: true }, nLayer);
  return stages;
}
