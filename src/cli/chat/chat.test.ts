import fc from "fast-check";
import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { MessageInput } from "./input.ts";
import { Keys, messageOf } from "./keys.ts";

const PASTE = ["\u001b[200~", "\u001b[201~"] as const;

/** What comes out of keys that come in these chunks. */
async function through(chunks: readonly string[]): Promise<string> {
  const source = new PassThrough();
  const keys = new Keys(source);
  let out = "";
  keys.on("data", (text: string) => (out += text));
  for (const chunk of chunks) {
    source.write(chunk);
    await turn();
  }
  source.end();
  await turn();
  return out;
}

describe("keys", () => {
  it("pass, but for the ends of lines that are not of the message", async () => {
    expect(await through(["abc\r"])).toBe("abc\r");
    expect(await through(["a\u001b\rb\nc\r"])).toBe("a␊b␊c\r");
    expect(await through(["\u001b[A\u001b[1;5C"])).toBe("\u001b[A\u001b[1;5C");
  });

  it("of a paste are text, whatever is in it", async () => {
    const pasted = `${PASTE[0]}one\r\ntwo\rthree\tfour\u0003\u001b[A${PASTE[1]}\r`;
    expect(await through([pasted])).toBe("one␊two␊three␉four[A\r");
  });

  it("give the same text in whatever chunks a paste arrives", async () => {
    const text = fc.array(fc.constantFrom("a", "é", "😀", "\n", "\t", "[20", "~"), {
      maxLength: 12,
    });
    const property = fc.asyncProperty(text, fc.integer({ min: 1, max: 7 }), async (parts, size) => {
      const all = [...PASTE[0], ...parts.flatMap((part) => [...part]), ...PASTE[1], "\r"];
      // A terminal never cuts an escape sequence's first byte off while nothing is pasted.
      const chunks: string[] = [all.slice(0, 3).join("")];
      for (let i = 3; i < all.length; i += size) chunks.push(all.slice(i, i + size).join(""));
      expect(messageOf(await through(chunks))).toBe(`${parts.join("")}\r`);
    });
    await fc.assert(property, { numRuns: 100 });
  });

  it("are held back during an answer, and unsent when they come", async () => {
    const source = new PassThrough();
    const keys = new Keys(source);
    const events: string[] = [];
    keys.onInterrupt = () => events.push("interrupt");
    keys.onEnd = () => events.push("end");
    keys.on("data", (text: string) => events.push(text));
    const held = keys.hold();
    source.write("next\r");
    source.write("\u0003\u0004");
    await turn();
    expect(events).toEqual(["interrupt", "end"]);
    held[Symbol.dispose]();
    await turn();
    expect(events).toEqual(["interrupt", "end", "next"]);
  });
});

describe("messages", () => {
  const messagesOf = async (text: string) => {
    const input = new PassThrough();
    const output = new PassThrough() as unknown as NodeJS.WriteStream;
    using messages = new MessageInput({ input, output });
    input.end(text);
    const all: string[] = [];
    for (let next = await messages.next(); next !== undefined; next = await messages.next()) {
      all.push(next);
    }
    return all;
  };

  it("are lines, or what three quotes enclose", async () => {
    expect(await messagesOf("one\n two \n")).toEqual(["one", "two"]);
    expect(await messagesOf('"""\na\n\n  b\n"""\nc\n"""d"""\n')).toEqual(["a\n\n  b", "c", "d"]);
    expect(await messagesOf('"""a\nb')).toEqual(["a\nb"]);
  });

  /** A terminal to type at, and what it shows. */
  const terminal = () => {
    const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
    const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    let shown = "";
    output.on("data", (chunk: Buffer) => (shown += chunk.toString()));
    const messages = new MessageInput({
      input,
      output: output as unknown as NodeJS.WriteStream,
    });
    return { input, messages, shown: () => shown };
  };

  it("of several lines are pasted, typed with Alt-Enter, and taken back by Ctrl-C", async () => {
    const { input, messages } = terminal();
    using _ = messages;
    let interrupts = 0;
    messages.onInterrupt = () => interrupts++;
    const first = messages.next();
    input.write(`${PASTE[0]}a\nb${PASTE[1]}`);
    input.write("c\u001b\rd\r");
    expect(await first).toBe("a\nbc\nd");
    const second = messages.next();
    input.write("half a line\u0003");
    await turn();
    input.write("whole\r");
    expect(await second).toBe("whole");
    expect(interrupts).toBe(0);
    const third = messages.next();
    input.write("\u0003");
    await turn();
    expect(interrupts).toBe(1);
    input.write("\u0004");
    expect(await third).toBeUndefined();
  });

  it("typed during an answer stand at the next prompt, and Ctrl-D then ends", async () => {
    const { input, messages, shown } = terminal();
    using _ = messages;
    let ends = 0;
    messages.onEnd = () => ends++;
    const first = messages.next();
    input.write("hello\r");
    expect(await first).toBe("hello");
    const held = messages.hold();
    const before = shown();
    input.write("mixed in\r");
    await turn();
    expect(shown()).toBe(before);
    held[Symbol.dispose]();
    const second = messages.next();
    await turn();
    expect(shown()).toContain("mixed in");
    input.write(", sent\r");
    expect(await second).toBe("mixed in, sent");
    messages.hold();
    input.write("\u0004");
    await turn();
    expect(ends).toBe(1);
  });
});
