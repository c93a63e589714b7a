import { describeValue, PyramidKVError, requireOneOf } from "../errors.ts";
import type { Named } from "../options.ts";
import { JinjaTemplate } from "./jinja/template.ts";
import { requireUnicode } from "./prompt-text.ts";

/** Who may say something in a chat. */
export const ROLES = ["system", "user", "assistant", "tool"] as const;

/** What somebody says. Templates read more of a message, by the names that they know: `tool_calls`, `name`, `reasoning_content`. */
export interface ChatMessage {
  readonly role: (typeof ROLES)[number];
  /** Beside calls of functions null counts as nothing, as OpenAI's API has it. */
  readonly content: string;
  /** Functions that the assistant called, as `{ type: "function", function: { name, arguments } }`. */
  readonly tool_calls?: readonly object[];
  readonly name?: string;
}

export interface ChatOptions {
  /** Functions that the model may call, as `{ type: "function", function: { name, description, parameters } }`. */
  readonly tools?: readonly object[];
  /** Variables that the model's template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, string | number | boolean | null>>;
}

export const CHAT_OPTIONS: Named<ChatOptions> = {
  tools: { kind: "own" },
  variables: { kind: "own" },
};

/** All that a template is rendered from. */
export interface Chat extends ChatOptions {
  readonly messages: readonly ChatMessage[];
}

/** Levels that tools and calls may be nested. */
const DEEPEST = 64;

/** Throws `USAGE` unless a value is what JSON can hold, its texts well-formed. */
function requireJson(name: string, value: unknown, depth = 0): void {
  if (typeof value === "string") return requireUnicode(value);
  if (value === null || value === undefined || typeof value === "boolean") return;
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (typeof value !== "object") {
    throw new PyramidKVError(
      "USAGE",
      `${name} must hold what JSON can, got ${describeValue(value)}`,
    );
  }
  if (depth >= DEEPEST) {
    throw new PyramidKVError("USAGE", `${name} is nested deeper than ${DEEPEST} levels`);
  }
  for (const [key, item] of Object.entries(value)) {
    requireUnicode(key);
    requireJson(name, item, depth + 1);
  }
}

/** Throws `USAGE` unless they are lists and tables of what JSON can hold. */
export function requireChatOptions({ tools, variables }: ChatOptions): void {
  const refuse = (name: string, what: string, value: unknown) => {
    throw new PyramidKVError("USAGE", `${name} must be ${what}, got ${describeValue(value)}`);
  };
  const isTable = (value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (tools !== undefined && !(Array.isArray(tools) && tools.every(isTable))) {
    refuse("tools", "a list of { type, function }", tools);
  }
  if (variables !== undefined && !isTable(variables)) {
    refuse("variables", "an object of the template's variables", variables);
  }
  requireJson("tools", tools);
  requireJson("variables", variables);
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
    const { role, content, tool_calls, ...rest } = message as Partial<ChatMessage>;
    requireOneOf("role", role as string, ROLES);
    // OpenAI's API has no content beside calls.
    if (!(content === null && tool_calls !== undefined)) requireUnicode(content);
    requireJson("messages", rest);
    requireJson("tool_calls", tool_calls);
    if (tool_calls !== undefined && !Array.isArray(tool_calls)) {
      throw new PyramidKVError(
        "USAGE",
        `tool_calls must be a list, got ${describeValue(tool_calls)}`,
      );
    }
  }
}

/** A text in quotes. */
const LITERAL = /(["'])(?<text>(?:(?!\1)[^\\])*)\1/g;
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
  /** Its texts in quotes. */
  readonly literals: ReadonlySet<string>;

  constructor(
    private readonly source: string,
    private readonly bosToken: string,
    private readonly eosToken: string,
  ) {
    const found = ASKED.flatMap((pattern) => [...source.matchAll(pattern)]);
    this.asked = [...new Set(found.flatMap(({ groups }) => groups?.text ?? []))];
    const literals = [...source.matchAll(LITERAL)].flatMap(({ groups }) => groups?.text ?? []);
    // Fields are found by their names, in quotes or behind a dot.
    const fields = [...source.matchAll(/\.\s*(?<name>\w+)/g)].flatMap((m) => m.groups?.name ?? []);
    this.literals = new Set([...literals, ...fields]);
  }

  /**
   * The text of a chat, ending where the assistant's answer begins.
   *
   * @throws `UNSUPPORTED` on a template that is not understood, `USAGE` on messages that it refuses
   */
  render({ messages, tools, variables }: Chat): string {
    this.#template ??= this.#compile();
    try {
      return this.#template.render({
        ...variables,
        ...(tools === undefined || tools.length === 0 ? {} : { tools }),
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
