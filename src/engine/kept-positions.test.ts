import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firstLayer } from "../../test/helpers/reference-layer.ts";
import { F32_KERNELS } from "../../test/helpers/kernels.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { BudgetPlan } from "../compression/budgets/plan.ts";
import type { EvidenceKind, LayerEvidence } from "../compression/evidence.ts";
import { keepTokens } from "../compression/keep.ts";
import type { Method } from "../compression/method.ts";
import { METHODS } from "../compression/methods.ts";
import { referenceEvidence, referenceQueries } from "../../test/helpers/reference-scores.ts";
import { Engine } from "./engine.ts";

const N = 600; // two chunks: the observation window and the sums cross their border
const MODEL = { nLayer: 3 };

/** What plain loops can see of a first layer: no output errors, and no replay. */
const SEEN: readonly EvidenceKind[] = ["window", "sums", "far-sums", "keys", "values", "queries"];
const names = [
  ...Object.values(METHODS)
    .filter(({ needs, budget }: Method) =>
      [...needs, ...(budget.needs ?? [])].every((kind) => SEEN.includes(kind)),
    )
    .map((m) => m.name),
  ...["ada(snapkv)", "chunk(h2o)", "inverted(knorm)", "local:1(snapkv)", "coverage:0.8(snapkv)"],
  "uniform(funnel)",
];

const cases = F32_KERNELS.flatMap((kernels) => names.map((method) => [method, kernels] as const));

const tokens = randomTokens(N);
const input = firstLayer(MODEL, tokens);
const evidenceByAlpha = new Map<number, LayerEvidence>();

/** What plain loops see of the first layer. */
function seen(alpha: number): LayerEvidence {
  const known = evidenceByAlpha.get(alpha);
  if (known !== undefined) return known;
  const evidence = referenceEvidence(input, { alpha });
  const heads = evidence.heads.map((head, h) => ({
    ...head,
    queries: () =>
      referenceQueries({ ...input, q: input.plainQueries }, h, {
        skip: 4,
        future: 512,
        neox: false,
      }),
  }));
  evidenceByAlpha.set(alpha, { ...evidence, heads });
  return { ...evidence, heads };
}

describe.each(F32_KERNELS)("h2o with %s", (kernels) => {
  it("keeps the same whatever the chunks, the last of which may be one token", async () => {
    using folder = new TestFolder();
    const kept = await Promise.all(
      [128, 256, 1024].map(async (chunkTokens) => {
        const model = folder.tiny({ nLayer: 2 });
        await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens });
        using session = engine.createSession({ method: "h2o", kvSize: 48 });
        await session.prefill(randomTokens(257));
        return session.cache.layers.map((layer) => layer.heads.map((_, h) => layer.positions(h)));
      }),
    );
    expect(kept[1]).toEqual(kept[0]);
    expect(kept[2]).toEqual(kept[0]);
  });
});

describe.each(cases)("%s with %s", (method, kernels) => {
  let engine: Engine;
  beforeAll(async () => {
    using folder = new TestFolder();
    const model = folder.tiny(MODEL);
    engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 512 });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  it.each([
    { kvSize: 48 },
    { kvSize: 200, alpha: 100 },
    { kvSize: 64, alpha: 20, window: 3, gqa: "max" },
    { kvSize: 64, preset: "class-defaults", window: 10 },
  ])("keeps in the first layer what plain loops keep, %o", async (options) => {
    using session = engine.createSession({ method, ...options });
    await session.prefill(tokens);

    const { method: resolvedMethod, options: resolved } = session.compression;
    const evidence = seen(resolved.alpha);
    const shape = { nLayer: MODEL.nLayer, nHeadKv: input.nHeadKv, nTokens: N };
    const plan = new BudgetPlan(session.compression, shape);
    const rankings = resolvedMethod.score(evidence, resolved);
    const [budgets] = plan.add(0, { evidence, rankings });
    session.cache.layers[0]?.heads.forEach((_, head) => {
      const budget = budgets?.[head] ?? 0;
      const expected = keepTokens(rankings[head] ?? null, N, budget, resolved);
      const kept = session.cache.layers[0]?.positions(head) ?? new Int32Array(0);
      // Keys that differ in their last bit are rounded to other halves: then two that nearly tie may swap.
      const swapped = kept.filter((p) => !expected.includes(p)).length;
      expect(swapped).toBeLessThanOrEqual(resolvedMethod.needs.includes("keys") ? 1 : 0);
      expect(kept).toHaveLength(expected.length);
    });
  });
});
