import { PyramidKVError } from "../errors.ts";
import type { Chat } from "./chat-template.ts";
import { disguised, otherCharacter } from "./cipher.ts";
import { Marks } from "./marks.ts";
import type { PromptText, Span } from "./prompt-text.ts";

/** Stands for any character of a message but itself, and another one stands for that. */
const [SHADOW, OTHER] = ["x", "y"];
/** A word that a template writes or compares with, as `function` and `string`: who gives it forges nothing. */
const WORD = /^\w{2,}$/;

/** What of a template's source the tracing needs. */
export interface TemplateTexts {
  /** What it looks for in texts, such as `</think>`. */
  readonly asked: readonly string[];
  /** Its texts in quotes. */
  readonly literals: ReadonlySet<string>;
}

/**
 * Renders a chat, and tells what of the text came out of it.
 *
 * The chat is rendered once more with other letters in the same places: what changes is the chat's, however the template
 * trims, cuts, joins or repeats it, in messages, tools and all else. A template that decides by what a message says may
 * render that one differently; then what it asks for is left as it is. Where that does not help, the special tokens
 * within the contents and all letters of tools and their calls are hidden from it and put back afterwards.
 *
 * @param specials where a text would be read as special tokens
 */
export function renderTraced(
  render: (chat: Chat) => string,
  chat: Chat,
  { asked, literals }: TemplateTexts,
  specials: (text: string) => readonly Span[],
): PromptText {
  const isWord = (text: string) => WORD.test(text) && literals.has(text);
  const text = render(chat);
  const shadow = renderShadow(render, chat, [], isWord);
  // What the template writes itself is no question, even where it is looked for in contents.
  const writes = (token: string) => shadow?.includes(token) !== false;
  const kept = asked.filter((variable) => specials(variable).length === 0 || !writes(variable));
  const untrusted =
    differences(text, shadow) ?? differences(text, renderShadow(render, chat, kept, isWord));
  if (untrusted !== undefined) return { text, untrusted };
  const marks = new Marks(JSON.stringify(chat));
  const hidden = changed(chat, {
    content: (content) => {
      const spans = specials(content).filter(({ from, to }) => {
        const token = content.slice(from, to);
        return !kept.includes(token) && token.trim() !== "";
      });
      return marks.hide(content, spans);
    },
    other: (of) => (isWord(of) ? of : marks.hide(of, lettersOf(of))),
  });
  return marks.restore(render(hidden));
}

/** The characters that templates write as they are. */
function lettersOf(text: string): Span[] {
  return [...text.matchAll(/[^\s"'\\]/g)].map(({ index }) => ({ from: index, to: index + 1 }));
}

/** @param kept texts that stay as they are in contents; `isWord` tells those that stay elsewhere */
function renderShadow(
  render: (chat: Chat) => string,
  chat: Chat,
  kept: readonly string[],
  isWord: (text: string) => boolean,
): string | undefined {
  const longestFirst = [...kept].sort((a, b) => b.length - a.length).map(escaped);
  const pattern = new RegExp([...longestFirst, String.raw`[^\s"\\]`].join("|"), "g");
  const letter = (c: string) => (c === SHADOW ? OTHER : SHADOW);
  const shadow = changed(chat, {
    content: (content) => content.replace(pattern, (c) => (kept.includes(c) ? c : letter(c))),
    other: (text) => (isWord(text) ? text : disguised(text)),
  });
  try {
    return render(shadow);
  } catch (error) {
    // It refuses such contents: they tell nothing.
    if (error instanceof PyramidKVError) return undefined;
    throw error;
  }
}

/** A chat with every text in it changed but the roles and the names of messages' fields and of variables. */
function changed(
  { messages, tools, variables = {} }: Chat,
  change: Readonly<Record<"content" | "other", (text: string) => string>>,
): Chat {
  const within = (value: unknown) => changedWithin(value, change.other);
  const fields = (of: object) =>
    Object.fromEntries(Object.entries(of).map(([name, value]) => [name, within(value)]));
  return {
    ...(tools === undefined ? {} : { tools: within(tools) as readonly object[] }),
    variables: fields(variables) as NonNullable<Chat["variables"]>,
    messages: messages.map(({ role, content, ...rest }) => {
      return { ...fields(rest), role, content: change.content(content) };
    }),
  };
}

/** A value of JSON with every text in it changed, keys too. */
function changedWithin(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => changedWithin(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [change(key), changedWithin(item, change)]),
  );
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
    const isOther = otherCharacter(text.charAt(i)).toLowerCase() === letter;
    if (!isOther && letter !== SHADOW && letter !== OTHER) return undefined;
    const last = spans.at(-1);
    if (last !== undefined && text.slice(last.to, i).trim() === "") last.to = i + 1;
    else spans.push({ from: i, to: i + 1 });
  }
  return spans;
}
