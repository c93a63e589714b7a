import { describeValue, PyramidKVError, requireOneOf } from "../errors.ts";
import { JinjaTemplate } from "./jinja/template.ts";
import { requireUnicode } from "./prompt-text.ts";

/** Who may say something in a chat. */
export const ROLES = ["system", "user", "assistant", "tool"] as const;

export interface ChatMessage {
  readonly role: (typeof ROLES)[number];
  readonly content: string;
}

/** Throws `USAGE` unless a value is a list of messages with known roles and texts. */
export function requireMessages(value: unknown): asserts value is readonly ChatMessage[] {
  const refuse = (what: unknown) => {
    throw new PyramidKVError(
      "USAGE",
      `messages must be a list of { role, content }, got ${describeValue(what)}`,
    );
  };
  if (!Array.isArray(value)) return refuse(value);
  for (const message of value as unknown[]) {
    if (typeof message !== "object" || message === null) return refuse(value);
    const { role, content } = message as Partial<ChatMessage>;
    requireOneOf("role", role as string, ROLES);
    requireUnicode(content);
  }
}

/** A text before `in`, and one that is a method's or filter's first argument. */
const ASKED = [
  /(["'])(?<text>(?:(?!\1)[^\\])+)\1\s*(?:not\s+)?in\b/g,
  /[.|]\s*\w+\(\s*(["'])(?<text>(?:(?!\1)[^\\])+)\1/g,
];

/** A model's own Jinja template, compiled when a chat is first rendered: without one, a model can still be used. */
export class ChatTemplate {
  #template: JinjaTemplate | undefined;
  /** What it looks for in texts: `x` of `x in text`, `text.split(x)` and the like. */
  readonly asked: readonly string[];

  constructor(
    private readonly source: string,
    private readonly bosToken: string,
    private readonly eosToken: string,
  ) {
    const found = ASKED.flatMap((pattern) => [...source.matchAll(pattern)]);
    this.asked = [...new Set(found.flatMap(({ groups }) => groups?.text ?? []))];
  }

  /**
   * The text of a chat, ending where the assistant's answer begins.
   *
   * @throws `UNSUPPORTED` on a template that is not understood, `USAGE` on messages that it refuses
   */
  render(messages: readonly ChatMessage[]): string {
    this.#template ??= this.#compile();
    try {
      return this.#template.render({
        messages,
        add_generation_prompt: true,
        bos_token: this.bosToken,
        eos_token: this.eosToken,
      });
    } catch (cause) {
      throw new PyramidKVError(
        "USAGE",
        `the model's chat template refused the messages: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  #compile(): JinjaTemplate {
    try {
      return new JinjaTemplate(this.source);
    } catch (cause) {
      throw new PyramidKVError(
        "UNSUPPORTED",
        `the model's chat template is not understood (${messageOf(cause)}); use the raw prompt (--raw)`,
        { cause },
      );
    }
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
