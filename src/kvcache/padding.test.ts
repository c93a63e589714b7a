import fc from "fast-check";
import { expect, it } from "vitest";
import { capacityFor, grownCapacity, type Padding } from "./padding.ts";

const paddings = fc.constantFrom<Padding[]>("full", "compressed");

it("always leaves room for one more, and grows", () => {
  fc.assert(
    fc.property(fc.nat(100_000), paddings, (tokens, padding) => {
      const capacity = capacityFor(tokens, padding);
      expect(capacity).toBeGreaterThan(tokens);
      expect(capacity - tokens).toBeLessThanOrEqual(padding === "full" ? 256 : 32);
      expect(grownCapacity(capacity, padding)).toBeGreaterThan(capacity);
    }),
  );
});

it("pads a long full cache as libllama does", () => {
  expect([255, 256, 6000].map((n) => capacityFor(n, "full"))).toEqual([256, 512, 6144]);
});
