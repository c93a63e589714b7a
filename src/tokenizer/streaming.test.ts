import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopStrings } from "./stop-strings.ts";
import { StreamDecoder } from "./stream-decoder.ts";

describe("StreamDecoder", () => {
  it("gives whole characters however the bytes are cut", () => {
    const input = fc.tuple(
      fc.string({ unit: "grapheme" }),
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1 }),
    );
    fc.assert(
      fc.property(input, ([text, sizes]) => {
        const bytes = new Uint8Array(Buffer.from(text));
        const decoder = new StreamDecoder();
        let out = "";
        for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length] ?? 1) {
          const part = decoder.push(bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1)));
          expect(part.isWellFormed()).toBe(true);
          expect(part).not.toContain("\ufffd");
          out += part;
        }
        expect(out + decoder.end()).toBe(text);
      }),
    );
  });

  it("replaces a character that never became whole", () => {
    const decoder = new StreamDecoder();
    expect(decoder.push(Uint8Array.of(0xe2, 0x82))).toBe("");
    expect(decoder.end()).toBe("\ufffd");
  });
});

describe("StopStrings", () => {
  it("cuts at the first stop string however the text arrives", () => {
    const input = fc.record({
      text: fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 40 }),
      stops: fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1 }), {
        minLength: 1,
        maxLength: 3,
      }),
      size: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(input, ({ text, stops, size }) => {
        const filter = new StopStrings(stops);
        let out = "";
        let stopped = false;
        for (let at = 0; at < text.length && !stopped; at += size) {
          const step = filter.push(text.slice(at, at + size));
          out += step.text;
          stopped = step.stopped;
        }
        if (!stopped) {
          const last = filter.end();
          out += last.text;
          stopped = last.stopped;
        }
        const hits = stops.map((s) => text.indexOf(s)).filter((i) => i >= 0);
        expect(stopped).toBe(hits.length > 0);
        // The one that begins first wins, however long it is.
        expect(out).toBe(stopped ? text.slice(0, Math.min(...hits)) : text);
      }),
    );
  });
});
