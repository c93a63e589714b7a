/**
 * What a GGUF header may claim. A file is distrusted until it is checked: each limit lies well above
 * what real models have, and keeps a damaged or hostile file from costing memory or time.
 */
export const LIMITS = {
  /** Gemma 3's header, with 262,144 tokens and merges, has 15 MB. */
  headerBytes: 64 * 1024 * 1024,
  /** Real files have 20 to 100 keys. */
  keys: 16_384,
  /** The largest mixtures of experts have a few thousand tensors. */
  tensors: 65_536,
  /** The format's own limit. */
  keyLength: 65_535,
  /** Chat templates have tens of kB. */
  stringLength: 16 * 1024 * 1024,
  /** ggml stores names in 64 bytes with a closing zero. */
  tensorNameLength: 63,
  tensorDimensions: 4,
  /** Elements in one tensor: 2^40 are 512 GB at 4 bits. */
  tensorElements: 2 ** 40,
  alignment: 65_536,
} as const;
