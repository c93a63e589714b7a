import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestFolder, randomTokens } from "../../test/helpers/tiny-model.ts";
import { attend, wholeAttention, type WholeLayer } from "../../test/helpers/whole-attention.ts";
import { firstLayer } from "../../test/helpers/reference-layer.ts";
import { referenceScores } from "../../test/helpers/reference-scores.ts";
import { Engine } from "../engine/engine.ts";
import { mean } from "../mean.ts";
import { analyze, type Analysis } from "./analyze.ts";
import { retention } from "./retention.ts";

/** Every number of every layer and head, against plain loops over whole matrices. */

const N = 300;
const NEXT = 64;
const GROUP = 2;
const MODEL = { vocabulary: true } as const;
const tokens = randomTokens(N);
let folder: TestFolder;
let engine: Engine;
let layers: WholeLayer[];
let found: Analysis;
beforeAll(async () => {
  folder = new TestFolder();
  engine = await Engine.load({ model: folder.tiny(MODEL), threads: 1, kernels: "ggml" });
  layers = await wholeAttention(engine, tokens);
  found = await analyze(engine, tokens, { spread: N });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const sum = (all: readonly number[]) => all.reduce((a, b) => a + b, 0);
const falling = (all: readonly number[]) => all.toSorted((a, b) => b - a);
/** Indices by falling weight. */
const ranked = (all: readonly number[]) =>
  Array.from(all.keys()).sort((a, b) => (all[b] as number) - (all[a] as number) || a - b);

/** Compares a statistic of every head with what `of` makes of each of its rows, averaged. */
function perHead(
  name: string,
  all: readonly (readonly number[])[],
  of: (weights: readonly number[]) => number,
): void {
  expect(all.map((heads) => heads.length)).toEqual(layers.map(({ weights }) => weights.length));
  all.forEach((heads, il) => {
    heads.forEach((value, head) => {
      const rows = layers[il]?.weights[head] as number[][];
      expect(Math.abs(value - mean(rows.map(of))), `${name} ${il} ${head}`).toBeLessThan(1e-4);
    });
  });
}

/** The same for statistics of several numbers. */
function perPlace<T>(
  name: string,
  all: readonly (readonly (readonly number[])[])[],
  places: readonly T[],
  of: (weights: readonly number[], place: T) => number,
): void {
  expect(all).toHaveLength(layers.length);
  places.forEach((place, i) => {
    const own = all.map((heads) => heads.map((values) => values[i] as number));
    perHead(`${name} ${String(place)}`, own, (weights) => of(weights, place));
  });
}

it("the first layer's matrices follow from the file's weights", () => {
  const first = firstLayer(MODEL, tokens);
  const all = referenceScores(first, { nQueries: N });
  layers[0]?.weights.forEach((rows, head) => {
    for (let j = 0; j < N; j++) {
      const given = sum(rows.slice(j).map((w) => w[j] as number));
      expect(Math.abs((all[head * N + j] as number) - given)).toBeLessThan(1e-3);
    }
  });
});

describe("studies", () => {
  it("the funnel", () => {
    const { funnel } = found;
    perPlace("top mass", funnel.topMass, funnel.topKs, (w, k) => sum(falling(w).slice(0, k)));
    perPlace("top share", funnel.topShareMass, funnel.topShares, (w, share) =>
      sum(falling(w).slice(0, Math.max(1, Math.round(share * w.length)))),
    );
    const entropy = (w: readonly number[]) => -sum(w.map((x) => (x > 0 ? x * Math.log(x) : 0)));
    perHead("entropy", funnel.entropy, entropy);
    perHead("sinks", funnel.sinks, (w) => sum(w.slice(0, 4)));
    perHead("window", funnel.window, (w) => sum(w.slice(-8)));
    funnel.effectiveKeys.forEach((heads, il) => {
      heads.forEach((value, head) => {
        const rows = layers[il]?.weights[head] as number[][];
        expect(value / mean(rows.map((w) => Math.exp(entropy(w))))).toBeCloseTo(1, 4);
      });
    });
  });

  it("what one set of tokens reaches", () => {
    const { reach, topKs } = found.funnel;
    forNext(({ il, kvHead, rows, best, before }) => {
      topKs.forEach((k, i) => {
        const top = best.slice(0, k);
        const shares = rows.map(
          (w) => sum(top.map((j) => w[j] as number)) / sum(w.slice(0, before)),
        );
        expect(Math.abs((reach[il]?.[kvHead]?.[i] as number) - mean(shares))).toBeLessThan(1e-4);
      });
    });
  });

  it("where attention goes", () => {
    const { locality } = found;
    const { distances, stretch } = locality;
    perPlace("distance", locality.byDistance, [...distances.keys()], (w, i) =>
      sum(
        w.filter((_, j) => {
          const distance = w.length - 1 - j;
          const [from, to] = [distances[i] as number, distances[i + 1] ?? Infinity];
          return distance >= from && distance < to;
        }),
      ),
    );
    const stretches = Array.from({ length: Math.ceil(N / stretch) }, (_, i) => i);
    perPlace("position", locality.byPosition, stretches, (w, i) =>
      sum(w.slice(i * stretch, (i + 1) * stretch)),
    );
    locality.windows.forEach((window, i) => {
      layers.forEach(({ weights }, il) => {
        weights.forEach((rows, head) => {
          const seeing = rows.filter((w) => w.length - 1 >= window + 4);
          const beyond = (w: readonly number[]) => sum(w.slice(4, w.length - window));
          const value = locality.outside[il]?.[head]?.[i] as number;
          expect(Math.abs(value - mean(seeing.map(beyond)))).toBeLessThan(1e-4);
        });
      });
    });
  });

  it("maps and massive columns", () => {
    const { maps, columns, stretch, massive } = found.maps;
    maps.forEach((heads, il) => {
      heads.forEach((map, head) => {
        map.forEach((value, at) => {
          const [query, from] = [Math.floor(at / columns), (at % columns) * stretch];
          const own = layers[il]?.weights[head]?.[query]?.slice(from, from + stretch) ?? [];
          if (Math.abs(value - Math.max(0, ...own)) > 1e-4) expect.fail(`${il} ${head} ${at}`);
        });
      });
    });
    expect(massive.length).toBeGreaterThan(0);
    for (const { il, position, share, heads, token } of massive) {
      const given = (layers[il] as WholeLayer).weights.map((rows) =>
        mean(rows.slice(position).map((w) => w[position] as number)),
      );
      expect(Math.abs(share - mean(given))).toBeLessThan(1e-4);
      expect(heads).toBe(given.filter((x) => x >= 0.1).length);
      expect(token).toBe(engine.tokenizer.decode([tokens[position] as number]));
    }
  });

  it("how many tokens are needed", () => {
    const { needs } = found;
    layers.forEach(({ weights, values }, il) => {
      values.forEach((own, kvHead) => {
        const heads = weights.slice(kvHead * GROUP, (kvHead + 1) * GROUP);
        const counts = heads.flat().map((w) => fewest(w, own, [], ranked(w)));
        expect(needs.own[il]?.[kvHead]).toEqual(quantiles(counts));
      });
    });
    forNext(({ il, kvHead, rows, best, before, values }) => {
      const counts = rows.map((w) => {
        const after = Array.from({ length: w.length - before }, (_, j) => before + j);
        return fewest(w, values, after, best);
      });
      expect(needs.shared[il]?.[kvHead]).toEqual(quantiles(counts));
    });
  });

  it("what is left with one set of so many tokens", () => {
    const { left, sizes } = found.needs;
    forNext(({ il, kvHead, rows, best, before, values }) => {
      const squares = sizes.map(() => ({ lost: 0, whole: 0 }));
      rows.forEach((w, at) => {
        if ((at % NEXT) % 4 !== 0) return;
        const after = Array.from({ length: w.length - before }, (_, j) => before + j);
        const whole = attend(w, values, [...w.keys()]);
        sizes.forEach((size, i) => {
          const few = attend(w, values, [...best.slice(0, size), ...after]);
          const own = squares[i] as { lost: number; whole: number };
          own.lost += sum(few.map((x, d) => (x - (whole[d] as number)) ** 2));
          own.whole += sum(whole.map((x) => x * x));
        });
      });
      squares.forEach(({ lost, whole }, i) => {
        const value = left[il]?.[kvHead]?.[i] as number;
        expect(Math.abs(value - Math.sqrt(lost / whole))).toBeLessThan(1e-4);
      });
    });
  });

  /** For each error that is asked for, the fewest of `order` besides `given` that leave no larger one. */
  function fewest(
    weights: readonly number[],
    values: readonly (readonly number[])[],
    given: readonly number[],
    order: readonly number[],
  ): number[] {
    const whole = attend(weights, values, [...weights.keys()]);
    const norm = Math.hypot(...whole);
    const sums = whole.map(() => 0);
    let mass = 0;
    const lost: number[] = []; // with k tokens more than those given
    for (const [i, j] of [...given, ...order].entries()) {
      if (i >= given.length) lost.push(Math.hypot(...sums.map((x, d) => x / mass - whole[d]!)));
      sums.forEach((x, d) => (sums[d] = x + weights[j]! * values[j]![d]!));
      mass += weights[j]!;
    }
    return found.needs.errors.map((most) => {
      const k = lost.findIndex((error) => error <= most * norm);
      return k < 0 ? order.length : k;
    });
  }

  function quantiles(counts: readonly (readonly number[])[]): number[][] {
    return found.needs.errors.map((_, e) => {
      const rising = counts.map((own) => own[e] as number).sort((a, b) => a - b);
      return found.needs.quantiles.map(
        (q) => rising[Math.floor(q * (rising.length - 1))] as number,
      );
    });
  }
});

interface Next {
  readonly il: number;
  readonly kvHead: number;
  readonly before: number;
  readonly rows: readonly (readonly number[])[];
  /** The tokens before, by what the rows give them together. */
  readonly best: readonly number[];
  readonly values: readonly (readonly number[])[];
}

/** Each kv head with the text's last queries. */
function forNext(check: (next: Next) => void): void {
  const before = N - NEXT;
  layers.forEach(({ weights, values }, il) => {
    values.forEach((own, kvHead) => {
      const heads = weights.slice(kvHead * GROUP, (kvHead + 1) * GROUP);
      const rows = heads.flatMap((all) => all.slice(before));
      const together = Array.from({ length: before }, (_, j) =>
        sum(rows.map((w) => w[j] as number)),
      );
      check({ il, kvHead, before, rows, best: ranked(together), values: own });
    });
  });
}

it("what ways keep, and lose", async () => {
  const ways = [
    { method: "snapkv", kvSize: 40 },
    { method: "streaming-llm", kvSize: 60 },
  ];
  const { before, ways: all } = await retention(engine, tokens, { ways, follow: 100 });
  const asked = (stretch: number) =>
    Array.from({ length: N - before }, (_, i) => i).filter(
      (i) => Math.floor(i / 64) === stretch && (i < 64 || i % 4 === 0),
    );
  for (const { kept, captured, errors, drift, best } of all) {
    for (const stretch of [0, 1]) {
      const held: number[] = [];
      const most: number[] = [];
      layers.forEach(({ weights, values }, il) => {
        values.forEach((_, kvHead) => {
          const rows = weights
            .slice(kvHead * GROUP, (kvHead + 1) * GROUP)
            .flatMap((queries) => asked(stretch).map((i) => queries[before + i] as number[]));
          const given = Array.from({ length: before }, (_, j) =>
            sum(rows.map((w) => w[j] as number)),
          );
          const own = kept[il]?.[kvHead] as Int32Array;
          const share = sum(Array.from(own, (j) => given[j] as number)) / sum(given);
          held.push(share);
          most.push(sum(falling(given).slice(0, own.length)) / sum(given));
          if (stretch > 0) return;
          expect(Math.abs((captured[il]?.[kvHead] as number) - share)).toBeLessThan(1e-4);
        });
      });
      expect(Math.abs((drift[stretch] as number) - mean(held))).toBeLessThan(1e-4);
      expect(Math.abs((best[stretch] as number) - mean(most))).toBeLessThan(1e-4);
    }
    layers.forEach(({ weights, values }, il) => {
      let [lost, whole] = [0, 0];
      weights.forEach((queries, head) => {
        const kvHead = Math.floor(head / GROUP);
        const own = values[kvHead] as number[][];
        for (const i of asked(0)) {
          const w = queries[before + i] as number[];
          const later = Array.from({ length: i + 1 }, (_, j) => before + j);
          const full = attend(w, own, [...w.keys()]);
          const few = attend(w, own, [...(kept[il]?.[kvHead] as Int32Array), ...later]);
          lost += sum(few.map((x, d) => (x - (full[d] as number)) ** 2));
          whole += sum(full.map((x) => x * x));
        }
      });
      expect(Math.abs((errors[il] as number) - Math.sqrt(lost / whole))).toBeLessThan(1e-4);
    });
  }
});
