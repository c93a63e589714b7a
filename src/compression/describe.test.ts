import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { describeMethods } from "./describe.ts";

it("docs/methods.md is what the tables say (npm run docs)", () => {
  const page = readFileSync(new URL("../../docs/methods.md", import.meta.url), "utf8");
  expect(page).toBe(describeMethods());
});
