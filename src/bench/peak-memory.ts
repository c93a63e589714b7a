import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A run whose memory is measured. */
export interface PeakOptions {
  readonly modelPath: string;
  readonly text: string;
  readonly kernels: string;
  readonly threads: number;
  readonly kvSize: number;
  readonly method?: string;
  readonly kvType?: string;
}

/** Tokens that are written after the prompt. */
export const PEAK_TOKENS = 8;

export interface MeasuredMemory {
  readonly promptTokens: number;
  /** Bytes after the prompt, and the most with what was read. */
  readonly kv: { readonly bytes: number; readonly peakBytes: number };
  readonly memory: { readonly peakRssBytes: number };
}

/** What a process of its own held while it read the text and wrote some tokens, in bytes. */
export async function measureMemory(o: PeakOptions): Promise<MeasuredMemory> {
  const main = fileURLToPath(new URL("../cli/main.js", import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), "pyramidkv-bench-"));
  try {
    const prompt = join(folder, "prompt.txt");
    await writeFile(prompt, o.text);
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        ...[main, "generate", "--model", o.modelPath, "--prompt-file", prompt],
        ...["--raw", "--json", "--max-tokens", String(PEAK_TOKENS), "--kv-size", String(o.kvSize)],
        ...["--method", o.method ?? "pyramidkv", "--kv-type", o.kvType ?? "f16"],
        // Whether it fits was asked before this process began.
        ...["--kernels", o.kernels, "--threads", String(o.threads), "--force"],
      ],
      { maxBuffer: 64 * 1024 * 1024 },
    );
    return JSON.parse(stdout) as MeasuredMemory;
  } finally {
    await rm(folder, { recursive: true });
  }
}
