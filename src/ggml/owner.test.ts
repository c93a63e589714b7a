import { expect, it } from "vitest";
import { allOrNone } from "./owner.ts";

it("makes all, or frees what it made where one fails", () => {
  const log: string[] = [];
  const maker = (name: string) => () => {
    if (name === "c") throw new Error("no memory");
    log.push(name);
    return { [Symbol.dispose]: () => log.push(`${name} freed`) };
  };
  expect(allOrNone(["a", "b"].map(maker))).toHaveLength(2);
  expect(log).toEqual(["a", "b"]);
  expect(() => allOrNone(["a", "b", "c", "d"].map(maker))).toThrow("no memory");
  expect(log.slice(2)).toEqual(["a", "b", "a freed", "b freed"]);
});
