import { expect, it } from "vitest";
import { nearestName, suggestion } from "./nearest.ts";

it.each([
  ["snpakv", "snapkv"],
  ["tvoa", "tova"],
  ["H2O", "h2o"],
  ["strea", "streaming-llm"],
  ["q8", "q8_0"],
  ["xyz", undefined],
  ["s", undefined],
])("%s is near to %s", (name, near) => {
  const known = ["snapkv", "tova", "h2o", "streaming-llm", "q8_0"];
  expect(nearestName(name, known)).toBe(near);
  expect(suggestion(name, known)).toBe(near === undefined ? "" : `; did you mean ${near}?`);
});
