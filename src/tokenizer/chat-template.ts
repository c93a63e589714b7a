import { Template } from "@huggingface/jinja";
import { PyramidKVError } from "../errors.ts";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A model's own Jinja template, compiled once. */
export class ChatTemplate {
  readonly #template: Template;

  constructor(
    source: string,
    private readonly bosToken: string,
    private readonly eosToken: string,
  ) {
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new PyramidKVError("BAD_FILE", "the model's chat template cannot be parsed", { cause });
    }
  }

  render(messages: readonly ChatMessage[]): string {
    try {
      return this.#template.render({
        messages,
        add_generation_prompt: true,
        bos_token: this.bosToken,
        eos_token: this.eosToken,
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new PyramidKVError("USAGE", `the model's chat template refused the messages: ${why}`, {
        cause,
      });
    }
  }
}
