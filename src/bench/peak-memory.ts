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
}

/** The most memory that a process of its own held while it read the text and wrote 8 tokens, in bytes. */
export async function peakRss(o: PeakOptions): Promise<number> {
  const main = fileURLToPath(new URL("../cli/main.js", import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), "pyramidkv-bench-"));
  try {
    const prompt = join(folder, "prompt.txt");
    await writeFile(prompt, o.text);
    const options = ["--raw", "--json", "--max-tokens", "8", "--kv-size", String(o.kvSize)];
    const machine = ["--kernels", o.kernels, "--threads", String(o.threads)];
    const args = ["generate", "--model", o.modelPath, "--prompt-file", prompt];
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...[main, ...args, ...options, ...machine],
    ]);
    return (JSON.parse(stdout) as { memory: { peakRssBytes: number } }).memory.peakRssBytes;
  } finally {
    await rm(folder, { recursive: true });
  }
}
