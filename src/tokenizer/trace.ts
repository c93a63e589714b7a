import { PyramidKVError } from "../errors.ts";
import type { Chat, ChatMessage } from "./chat-template.ts";
import { Marks } from "./marks.ts";
import type { PromptText, Span } from "./prompt-text.ts";

/** Stands for any character of a message but itself, and another one stands for that. */
const [SHADOW, OTHER] = ["x", "y"];

/**
 * Renders a chat, and tells what of the text came out of it.
 *
 * The chat is rendered once more with other letters in the same places of the messages' contents: what changes is content,
 * however the template trims, cuts, joins or repeats it. A template that decides by what a message says may render that
 * one differently; then what it asks for is left as it is. Where that does not help, the special tokens within the
 * contents are hidden from it and put back afterwards, as they are in tools, their calls and all else.
 *
 * @param asked what the template looks for in contents, such as `</think>`
 * @param specials where a text would be read as special tokens
 */
export function renderTraced(
  render: (chat: Chat) => string,
  chat: Chat,
  asked: readonly string[],
  specials: (text: string) => readonly Span[],
): PromptText {
  const marks = new Marks(JSON.stringify(chat));
  const { messages, ...others } = hideBesides(chat, (text) => marks.hide(text, specials(text)));
  const renderOf = (of: readonly ChatMessage[]) => render({ ...others, messages: of });
  const text = renderOf(messages);
  const shadow = renderShadow(renderOf, messages, []);
  // What the template writes itself is no question, even where it is looked for in contents.
  const writes = (token: string) => shadow?.includes(token) !== false;
  const kept = asked.filter((variable) => specials(variable).length === 0 || !writes(variable));
  const untrusted =
    differences(text, shadow) ?? differences(text, renderShadow(renderOf, messages, kept));
  if (untrusted !== undefined) return marks.restore({ text, untrusted });
  const hidden = messages.map((m) => {
    const spans = specials(m.content).filter(
      ({ from, to }) => !kept.includes(m.content.slice(from, to)),
    );
    return { ...m, content: marks.hide(m.content, spans) };
  });
  return marks.restore({ text: renderOf(hidden), untrusted: [] });
}

/** The chat with every text in it hidden but roles and the messages' own contents. */
function hideBesides({ messages, ...others }: Chat, hide: (text: string) => string): Chat {
  return {
    ...(within(others, hide) as Omit<Chat, "messages">),
    messages: messages.map(({ role, content, ...rest }) => {
      return { ...(within(rest, hide) as object), role, content };
    }),
  };
}

/** A value of JSON with every text in it changed, keys too. */
function within(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => within(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [change(key), within(item, change)]),
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
