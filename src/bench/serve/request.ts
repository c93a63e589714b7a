import { EventSourceParserStream } from "eventsource-parser/stream";

/** A server that speaks OpenAI's chat completions. */
export interface LoadTarget {
  /** The server's address, with or without `/v1`. */
  readonly url: string;
  readonly model: string;
  readonly apiKey?: string | undefined;
}

export interface LoadRequest {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly signal?: AbortSignal | undefined;
}

/** One answer, as it came. Times are in milliseconds from when the request was sent. */
export interface LoadResult {
  /** What went wrong, in one sentence; absent where the answer is complete. */
  readonly error?: string;
  /** When the first piece of text came; absent where none did. */
  readonly firstTokenMs?: number;
  /** Between one piece and the next. */
  readonly gapsMs: readonly number[];
  readonly totalMs: number;
  /** Tokens as the server counts them, else the pieces that came. */
  readonly outputTokens: number;
}

interface Event {
  readonly error?: { readonly message?: string };
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: { readonly completion_tokens?: number } | null;
}

/** Sends a request and reads its stream to the end. Never throws: what fails is a result too. */
export async function sendRequest(target: LoadTarget, request: LoadRequest): Promise<LoadResult> {
  const started = performance.now();
  const times: number[] = [];
  let usage: Event["usage"];
  const result = (error?: string): LoadResult => ({
    ...(error === undefined ? {} : { error }),
    ...(times[0] === undefined ? {} : { firstTokenMs: times[0] }),
    gapsMs: times.slice(1).map((t, i) => t - (times[i] as number)),
    totalMs: performance.now() - started,
    outputTokens: usage?.completion_tokens ?? times.length,
  });
  try {
    const response = await fetch(`${target.url.replace(/\/(v1\/?)?$/, "")}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(target.apiKey === undefined ? {} : { authorization: `Bearer ${target.apiKey}` }),
      },
      body: JSON.stringify({
        model: target.model,
        messages: [{ role: "user", content: request.prompt }],
        max_tokens: request.maxTokens,
        temperature: 0,
        stream: true,
        stream_options: { include_usage: true },
      }),
      signal: request.signal ?? null,
    });
    if (!response.ok || response.body === null) {
      return result(`the server answered ${response.status}: ${await shortText(response)}`);
    }
    const events = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    let complete = false;
    // Read to the very end, so that the connection serves the next request.
    for await (const { data } of events) {
      complete ||= data === "[DONE]";
      if (complete) continue;
      const event = JSON.parse(data) as Event;
      if (event.error !== undefined) return result(event.error.message ?? "the stream failed");
      if (event.choices?.[0]?.delta?.content) times.push(performance.now() - started);
      usage = event.usage ?? usage;
    }
    return result(complete ? undefined : "the stream ended before [DONE]");
  } catch (error) {
    const { message, cause } = error as Error;
    return result(cause instanceof Error ? cause.message || message : message);
  }
}

async function shortText(response: Response): Promise<string> {
  const text = await response.text();
  return text.replaceAll(/\s+/g, " ").slice(0, 200);
}
