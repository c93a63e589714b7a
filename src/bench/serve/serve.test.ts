import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StandInServer } from "../../../test/helpers/hub-server.ts";
import { seededRandom } from "../../random.ts";
import { percentile } from "../statistics.ts";
import { interval, parseDistribution } from "./distribution.ts";
import { runLoad, type Arrivals, type LoadOptions } from "./load.ts";
import { sendRequest } from "./request.ts";

interface Asked {
  readonly messages: { content: string }[];
  readonly max_tokens: number;
}

/** A server that answers with `max_tokens` pieces, and says how many requests it had at once. */
async function server(fail?: (request: number) => string | undefined) {
  const state = { now: 0, most: 0, asked: [] as Asked[] };
  const stand = await StandInServer.start((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const asked = JSON.parse(body) as Asked;
      state.asked.push(asked);
      state.most = Math.max(state.most, ++state.now);
      const failure = fail?.(state.asked.length);
      if (failure === "status") {
        state.now--;
        return response.writeHead(503).end("busy\nnow");
      }
      const send = (data: unknown) => response.write(`data: ${JSON.stringify(data)}\n\n`);
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(": a comment\n\n");
      send({ choices: [{ delta: { role: "assistant", content: "" } }] });
      setTimeout(() => {
        for (let i = 0; i < asked.max_tokens; i++) send({ choices: [{ delta: { content: "x" } }] });
        if (failure === "error") send({ error: { message: "out of memory" } });
        if (failure === "nonsense") response.write("data: {\n\n");
        send({ choices: [], usage: { prompt_tokens: 7, completion_tokens: asked.max_tokens } });
        state.now--;
        response.end(failure === "cut" ? "" : "data: [DONE]\n\n");
      }, 5);
      return undefined;
    });
  });
  return { stand, state };
}

const options = (url: string, arrivals: Arrivals): LoadOptions => ({
  requests: 12,
  arrivals,
  random: seededRandom(1),
  target: { url, model: "m" },
  promptTokens: parseDistribution("prompts", "uniform:5-9"),
  outputTokens: parseDistribution("answers", "4"),
  textOf: (tokens, i) => `${i}: ${"word ".repeat(tokens)}`,
});

describe("load", () => {
  it.each([1, 3])("keeps %i requests at a time in a closed loop", async (concurrency) => {
    const { stand, state } = await server();
    await using _ = stand;
    const report = await runLoad(options(`${stand.url}/v1`, { kind: "closed", concurrency }));
    expect(state.most).toBe(concurrency);
    expect(state.asked).toHaveLength(12);
    expect(new Set(state.asked.map((a) => a.messages[0]?.content)).size).toBe(12);
    expect(report).toMatchObject({ requests: 12, failed: 0, outputTokens: 48 });
    expect(report.firstTokenMs.p50).toBeGreaterThan(0);
    expect(report.totalMs.p99).toBeGreaterThanOrEqual(report.firstTokenMs.p50);
  });

  it("does not wait for answers in an open loop", async () => {
    const { stand, state } = await server();
    await using _ = stand;
    const report = await runLoad(options(stand.url, { kind: "open", rate: 5000 }));
    expect(report).toMatchObject({ requests: 12, failed: 0 });
    expect(state.most).toBeGreaterThan(1);
  });

  it("counts what fails by its reason, and measures the rest", async () => {
    const kinds = [undefined, "status", "error", "nonsense", "cut", "status"];
    const { stand } = await server((n) => kinds[n % kinds.length]);
    await using _ = stand;
    const report = await runLoad(options(stand.url, { kind: "closed", concurrency: 1 }));
    expect(report.failed).toBe(10);
    expect(report.outputTokens).toBe(8);
    expect(report.errors).toMatchObject({
      "the server answered 503: busy now": 4,
      "out of memory": 2,
      "the stream ended before [DONE]": 2,
    });
  });

  it("says that a server is not there", async () => {
    const result = await sendRequest(
      { url: "http://127.0.0.1:9", model: "m" },
      { prompt: "a", maxTokens: 1 },
    );
    expect(result.error).toBeTruthy();
    expect(result.firstTokenMs).toBeUndefined();
  });

  it("stops when it is told to", async () => {
    const { stand } = await server();
    await using _ = stand;
    const stop = new AbortController();
    const load = options(stand.url, { kind: "open", rate: 2 });
    const running = runLoad({ ...load, signal: stop.signal, onDone: () => stop.abort() });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("distributions", () => {
  it("stay within their bounds and near their middle", () => {
    const random = seededRandom(3);
    const draws = (text: string) => {
      const draw = parseDistribution("x", text);
      return Array.from({ length: 4000 }, () => draw(random));
    };
    expect(new Set(draws("17"))).toEqual(new Set([17]));
    const uniform = draws("uniform:3-6");
    for (const n of [3, 4, 5, 6]) {
      expect(uniform.filter((x) => x === n).length / 4000).toBeCloseTo(0.25, 1);
    }
    const lognormal = draws("lognormal:200,0.5");
    expect(percentile(lognormal, 0.5)).toBeGreaterThan(180);
    expect(percentile(lognormal, 0.5)).toBeLessThan(220);
    const gaps = Array.from({ length: 4000 }, () => interval(4, random));
    expect(gaps.reduce((a, b) => a + b) / 4000).toBeCloseTo(0.25, 1);
  });

  it("only ever give whole numbers of at least 1, or refuse the text", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), (text, seed) => {
        for (const form of [text, `uniform:${text}`, `lognormal:${text}`]) {
          try {
            const n = parseDistribution("x", form)(seededRandom(seed));
            expect(Number.isInteger(n) && n >= 1).toBe(true);
          } catch (error) {
            expect((error as Error).message).toMatch(/is none of 256, uniform:64-512/);
          }
        }
      }),
    );
    for (const wrong of ["0", "uniform:9-3", "lognormal:5", "-4", "", "uniform:0-4"]) {
      expect(() => parseDistribution("--x", wrong)).toThrow(/--x ".*" is none of/);
    }
  });
});

it("percentiles are values that occurred", () => {
  expect(percentile([5, 1, 3], 0.5)).toBe(3);
  expect(percentile([5, 1, 3], 0.99)).toBe(5);
  expect(percentile([], 0.5)).toBe(0);
});
