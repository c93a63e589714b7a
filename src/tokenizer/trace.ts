import { PyramidKVError } from "../errors.ts";
import type { ChatMessage } from "./chat-template.ts";
import type { PromptText, Span } from "./prompt-text.ts";

/** Stands for any character of a message but itself, and another one stands for that. */
const [SHADOW, OTHER] = ["x", "y"];
/** Unicode's private use area: nothing in it has a meaning of its own. */
const [FIRST_PRIVATE, LAST_PRIVATE] = [0xe000, 0xf8ff];

/**
 * Renders a chat, and tells what of the text came out of the messages' contents.
 *
 * The chat is rendered once more with other letters in the same places: what changes is content, however the template
 * trims, cuts, joins or repeats it. A template that decides by what a message says may render that one differently;
 * then what it asks for is left as it is. Where that does not help, the special tokens within the contents are
 * hidden from it and put back afterwards.
 *
 * @param asked what the template looks for in contents, such as `</think>`
 * @param specials where a text would be read as special tokens
 */
export function renderTraced(
  render: (messages: readonly ChatMessage[]) => string,
  messages: readonly ChatMessage[],
  asked: readonly string[],
  specials: (text: string) => readonly Span[],
): PromptText {
  const text = render(messages);
  const shadow = renderShadow(render, messages, []);
  // What the template writes itself is no question, even where it is looked for in contents.
  const writes = (token: string) => shadow?.includes(token) !== false;
  const kept = asked.filter((variable) => specials(variable).length === 0 || !writes(variable));
  const untrusted =
    differences(text, shadow) ?? differences(text, renderShadow(render, messages, kept));
  if (untrusted !== undefined) return { text, untrusted };
  return renderHidden(render, messages, (content) =>
    specials(content).filter(({ from, to }) => !kept.includes(content.slice(from, to))),
  );
}

/** @param kept texts that stay as they are */
function renderShadow(
  render: (messages: readonly ChatMessage[]) => string,
  messages: readonly ChatMessage[],
  kept: readonly string[],
): string | undefined {
  const longestFirst = [...kept].sort((a, b) => b.length - a.length).map(escaped);
  const pattern = new RegExp([...longestFirst, String.raw`[^\s"\\]`].join("|"), "g");
  const other = (c: string) => (c === SHADOW ? OTHER : SHADOW);
  const shadow = (content: string) =>
    content.replace(pattern, (c) => (kept.includes(c) ? c : other(c)));
  try {
    return render(messages.map((m) => ({ ...m, content: shadow(m.content) })));
  } catch (error) {
    // It refuses such contents: they tell nothing.
    if (error instanceof PyramidKVError) return undefined;
    throw error;
  }
}

/** A pattern for this text. */
function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}

/** Where two texts differ, with the blanks between such places; undefined where they do not lie side by side. */
function differences(text: string, shadow: string | undefined): Span[] | undefined {
  if (shadow?.length !== text.length) return undefined;
  const spans: { from: number; to: number }[] = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === shadow[i]) continue;
    const letter = shadow.charAt(i).toLowerCase();
    if (letter !== SHADOW && letter !== OTHER) return undefined;
    const last = spans.at(-1);
    if (last !== undefined && text.slice(last.to, i).trim() === "") last.to = i + 1;
    else spans.push({ from: i, to: i + 1 });
  }
  return spans;
}

function renderHidden(
  render: (messages: readonly ChatMessage[]) => string,
  messages: readonly ChatMessage[],
  specials: (text: string) => readonly Span[],
): PromptText {
  const marks = new Map<string, string>();
  const unused = unusedCharacters(messages);
  const markOf = (letter: string) => {
    const mark = marks.get(letter) ?? unused();
    marks.set(letter, mark);
    return mark;
  };
  const hidden = messages.map((m) => {
    let [content, at] = ["", 0];
    for (const { from } of specials(m.content)) {
      content += m.content.slice(at, from) + markOf(m.content.charAt(from));
      at = from + 1;
    }
    return { ...m, content: content + m.content.slice(at) };
  });
  const letters = new Map(Array.from(marks, ([letter, mark]) => [mark, letter]));
  const untrusted: Span[] = [];
  const text = Array.from(render(hidden).split(""), (c, at) => {
    const letter = letters.get(c);
    if (letter !== undefined) untrusted.push({ from: at, to: at + 1 });
    return letter ?? c;
  }).join("");
  return { text, untrusted };
}

/** Gives characters of the private area that no message holds, one after the other. */
function unusedCharacters(messages: readonly ChatMessage[]): () => string {
  let code = FIRST_PRIVATE;
  return () => {
    for (; code <= LAST_PRIVATE; code++) {
      const character = String.fromCharCode(code);
      if (messages.some((m) => m.content.includes(character))) continue;
      code++;
      return character;
    }
    throw new PyramidKVError("USAGE", "the messages hold all characters of Unicode's private area");
  };
}
