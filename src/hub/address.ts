import { environmentVariable } from "../user-folders.ts";

const DEFAULT_HUB = "https://huggingface.co";

/** Where the hub is: `HF_ENDPOINT`, or its own address. */
export function hubUrl(): string {
  return (environmentVariable("HF_ENDPOINT") ?? DEFAULT_HUB).replace(/\/+$/, "");
}

/** `HF_TOKEN`, where it is set. */
export function hubToken(): string | undefined {
  return environmentVariable("HF_TOKEN");
}

/** What a request says of who asks: `HF_TOKEN`, where it is set. */
export function authorization(): Record<string, string> {
  const token = hubToken();
  return token ? { authorization: `Bearer ${token}` } : {};
}
