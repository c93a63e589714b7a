import { describe, expect, it } from "vitest";
import { composeRecipe } from "./compose.ts";
import { METHODS } from "./methods.ts";
import { inChunks } from "./scores/chunks.ts";

describe("composeRecipe", () => {
  it("puts wrappers around methods, the inner ones first", () => {
    const recipe = composeRecipe("every:128(ada:0.3(chunk(snapkv)))");
    const { method } = recipe;
    expect(recipe).toMatchObject({ every: 128, method: { budget: { kind: "split" } } });
    expect(method).toMatchObject({ name: "every:128(ada:0.3(chunk(snapkv)))", needs: ["window"] });
    expect(METHODS.snapkv).not.toHaveProperty("every");
  });

  it("uses a model's profile within wrappers too", () => {
    const profile = { model: "m", weights: [[1]], shares: [[0.2]] };
    expect(composeRecipe("chunk(funnel)", { profile }).method.budget).toMatchObject({
      name: "profile",
    });
    expect(composeRecipe("online(funnel)", { profile }).method.budget).toMatchObject({
      name: "output error",
    });
  });

  it.each([
    ["every:128(pyramid)", /unknown method "pyramid"; known: full/],
    ["often:2(snapkv)", /unknown wrapper "often"; known: uniform, pyramid/],
    ["every(snapkv)", /every takes a whole number of at least 1, none was given/],
    ["every:0(snapkv)", /got 0/],
    ["every:x(snapkv)", /every takes a number, got "x"/],
    ["probe:3(snapkv)", /probe takes no argument, got "3"/],
    ["ada:1.5(snapkv)", /between 0 and 1, got 1.5/],
    ["ada(ada(snapkv))", /ada needs budgets per layer/],
    ["coverage:0(snapkv)", /above 0 and at most 1, got 0/],
    ["rerotate(ada(snapkv))", /rerotate needs budgets that are known before/],
    [
      "every:8(kvzip)",
      /every:8\(kvzip\) cannot compress while decoding: it ranks by the largest attention/,
    ],
    ["ada(rerotate(snapkv))", /rerotate needs budgets that are known before/],
    ["probe(carry(snapkv))", /carry and a probe do not go together/],
    ["carry(probe(snapkv))", /carry and a probe do not go together/],
    ["snapkv(", /unknown method "snapkv\(": a closing parenthesis is missing/],
    ["ada(snapkv", /a closing parenthesis is missing/],
    ["ada(snapkv))", /an? opening parenthesis is missing/],
    ["snpakv", /unknown method "snpakv"; known: .*; did you mean snapkv\?/],
    ["evry:8(snapkv)", /unknown wrapper "evry"; known: .*; did you mean every\?/],
    ["ada", /ada goes around one of them, as in ada\(snapkv\)/],
    ["", /unknown method ""/],
  ])("refuses %s", (text, message) => {
    expect(() => composeRecipe(text)).toThrow(message);
  });
});

describe("inChunks", () => {
  it("ranks whole stretches by their mean, and the tokens within one by their own score", () => {
    const ranks = inChunks(Float32Array.of(9, 0, 0, 4, 5, 3, 1, 1), 3);
    // Stretches: mean 3, 4 and 1; the best is tokens 3 to 5.
    const order = [...ranks.keys()].sort((a, b) => (ranks[b] ?? 0) - (ranks[a] ?? 0));
    expect(order).toEqual([4, 3, 5, 0, 1, 2, 6, 7]);
  });
});
