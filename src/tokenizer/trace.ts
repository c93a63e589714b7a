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
 * trims, cuts or repeats it. A template that decides by what a message says may render that one differently; then
 * the control tokens within the contents are hidden from it and put back afterwards.
 *
 * @param controls where a text would be read as control tokens
 */
export function renderTraced(
  render: (messages: readonly ChatMessage[]) => string,
  messages: readonly ChatMessage[],
  controls: (text: string) => readonly Span[],
): PromptText {
  const text = render(messages);
  const untrusted = differences(text, renderShadow(render, messages));
  return untrusted === undefined ? renderHidden(render, messages, controls) : { text, untrusted };
}

function renderShadow(
  render: (messages: readonly ChatMessage[]) => string,
  messages: readonly ChatMessage[],
): string | undefined {
  const shadow = (content: string) =>
    content.replace(/[^\s"\\]/g, (c) => (c === SHADOW ? OTHER : SHADOW));
  try {
    return render(messages.map((m) => ({ ...m, content: shadow(m.content) })));
  } catch (error) {
    // It refuses such contents: they tell nothing.
    if (error instanceof PyramidKVError) return undefined;
    throw error;
  }
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
  controls: (text: string) => readonly Span[],
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
    for (const { from } of controls(m.content)) {
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
