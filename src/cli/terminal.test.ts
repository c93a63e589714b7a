import { afterEach, describe, expect, it, vi } from "vitest";
import { describe as describeProgress, formatDuration, progressBar } from "./progress.ts";
import { isTerminal, printable } from "./terminal.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe("text on a terminal", () => {
  it("has its control characters shown", () => {
    expect(printable("a\u001b[31mred\u0007\u007f\u009b1A")).toBe("a␛[31mred␇␡\\u009b1A");
    expect(printable("tab\tline\nWindows\r\nold\r")).toBe("tab\tline\nWindows\nold␍");
    expect(printable("é 😀 日本")).toBe("é 😀 日本");
  });
});

describe("progress", () => {
  it("says how far a work is, and how long it takes", () => {
    expect(describeProgress(450, 1000, "share", 12_000)).toBe("45 %, 12 s left");
    expect(describeProgress(1.2e9, 2.4e9, "bytes", 95_000)).toBe(
      "50 %, 1.20 GB of 2.40 GB, 1 min 35 s left",
    );
    expect(describeProgress(0, 3, "count")).toBe("0 %, 0 of 3");
    expect(describeProgress(3, 3, "count", 0)).toBe("100 %, 3 of 3");
    expect(describeProgress(0, 0, "bytes")).toBe("0 %, 0 B of 0 B");
  });

  it("is a line every ten seconds where nothing can be drawn", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    vi.advanceTimersByTime(1000);
    const lines: string[] = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => lines.push(String(text)) > 0);
    const bar = progressBar("reading", "count");
    for (let second = 0; second <= 25; second++) {
      bar.update(second, 100);
      vi.advanceTimersByTime(1000);
    }
    bar.stop();
    expect(lines).toEqual([
      "reading: 10 %, 10 of 100, 1 min 30 s left\n",
      "reading: 20 %, 20 of 100, 1 min 20 s left\n",
    ]);
  });

  it("draws nothing on a terminal that is called dumb", () => {
    const terminal = { isTTY: true } as NodeJS.WriteStream;
    vi.stubEnv("TERM", "xterm");
    expect(isTerminal(terminal)).toBe(true);
    vi.stubEnv("TERM", "dumb");
    expect(isTerminal(terminal)).toBe(false);
  });

  it("tells long times in words, too", () => {
    expect([100, 59_001, 60_000, 7_260_000].map(formatDuration)).toEqual([
      ...["1 s", "1 min 0 s", "1 min 0 s", "2 h 1 min"],
    ]);
  });
});
