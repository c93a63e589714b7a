import { expect, it } from "vitest";
import { parseProfile, profileOf } from "./profile.ts";

it("gives weight to heads that lose divergence or numbers, and shares to those that lose numbers", () => {
  const losses = [
    { kl: 0.3, nll: 0 },
    { kl: -0.1, nll: 0.02 },
    { kl: 0.1, nll: 1.5 },
    { kl: 0, nll: 0 },
  ];
  const { weights, shares } = profileOf("m", losses, 2);
  expect(weights.flat().reduce((a, b) => a + b, 0)).toBeCloseTo(1, 3);
  // Too small a loss, or none, counts as none.
  expect(weights[0]?.[1]).toBe(weights[1]?.[1]);
  expect(weights[1]?.[0]).toBeGreaterThan(weights[0]?.[0] ?? 1);
  expect(shares[0]).toEqual([0.1, 0.1]);
  expect(shares[1]?.[0]).toBeCloseTo(0.1 + (0.8 * 1) / (0.25 + 1 + 0.004), 4);
  expect(parseProfile(JSON.stringify({ model: "m", weights, shares }), "x")).toBeDefined();
});

it.each([
  ["{", /x is not JSON/],
  ["{}", /x is no profile/],
  ['{"model":"m","weights":[[1,2],[3]],"shares":[[1]]}', /x is no profile/],
  ['{"model":"m","weights":[[-1]],"shares":[[1]]}', /x is no profile/],
  ['{"model":"m","weights":[[1]],"shares":[[1],[1]]}', /differ in size/],
])("refuses %s", (json, message) => {
  expect(() => parseProfile(json, "x")).toThrow(message);
});
