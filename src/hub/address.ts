const DEFAULT_HUB = "https://huggingface.co";

/** Where the hub is: `HF_ENDPOINT`, or its own address. */
export function hubUrl(): string {
  return (process.env.HF_ENDPOINT ?? DEFAULT_HUB).replace(/\/+$/, "");
}

/** What a request says of who asks: `HF_TOKEN`, where it is set. */
export function authorization(): Record<string, string> {
  const token = process.env.HF_TOKEN;
  return token ? { authorization: `Bearer ${token}` } : {};
}
