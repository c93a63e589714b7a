import type { Command } from "commander";
import { requireInteger } from "../errors.ts";
import { loadPart } from "../optional.ts";
import { Interrupt } from "./interrupt.ts";
import { note } from "./terminal.ts";
import { loadEngine } from "./load-engine.ts";
import { addModelOptions, integer, type ModelFlags } from "./options.ts";

type Flags = ModelFlags & { readonly queue: string; readonly lease: number };

/** `pyramidkv eval worker`: answers what other processes put into a queue. */
export function workerCommand(command: Command): void {
  addModelOptions(command.description("answer samples from a queue, on any number of machines"))
    .requiredOption("--queue <url>", "the Redis or Valkey server that holds it")
    .option(
      "--lease <s>",
      "seconds after which a silent worker's sample goes to another",
      integer,
      30,
    )
    .addHelpText(
      "after",
      `
Example:
  pyramidkv eval worker --queue redis://host:6379 &
  pyramidkv eval worker --queue redis://host:6379 &
  pyramidkv eval ruler --queue redis://host:6379 --results ruler.jsonl`,
    )
    .action((flags: Flags) => run(flags));
}

/** Loaded only here: every command would wait for it. Outside of `run`, since within `using` the compiler leaves its name. */
const loadWorker = () => loadPart("queue", () => import("../eval/queue/worker.ts"));

async function run(flags: Flags): Promise<void> {
  requireInteger("lease", flags.lease, 1);
  const { work } = await loadWorker();
  using interrupt = new Interrupt();
  await using engine = await loadEngine(flags, interrupt.signal);
  note(
    `waiting for samples of ${engine.model.name} at ${flags.queue}; Ctrl-C ends after the one at hand`,
  );
  await work(engine, {
    queue: flags.queue,
    leaseMs: 1000 * flags.lease,
    signal: interrupt.signal,
    onCell: ([row]) => {
      if (row !== undefined) note(`${row.task}, ${row.sample}`);
    },
  });
}
