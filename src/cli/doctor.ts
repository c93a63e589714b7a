import { cpus } from "node:os";
import type { Command } from "commander";
import { diagnose, type Diagnosis } from "../bench/diagnose.ts";
import { table } from "./format.ts";
import { progressBar } from "./progress.ts";
import type { DoctorJson } from "./json.ts";
import { note, print, printJson, style } from "./terminal.ts";
import { integer } from "./options.ts";

type Flags = { readonly threads?: number; readonly kernels?: string; readonly json?: boolean };

/** `pyramidkv doctor`: what this machine has, which kernels run on it and how fast they are. */
export function doctorCommand(command: Command): void {
  command
    .description("tell what runs on this machine: CPU, libraries, kernels, self-tests, speed")
    .option("-t, --threads <n>", "CPU threads (default: the cores at hand)", integer)
    .option("--kernels <name>", "which kernels to measure (default: auto)")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  pyramidkv doctor")
    .action((flags: Flags) => doctor(flags));
}

async function doctor(flags: Flags): Promise<void> {
  const bar = progressBar("measuring", "count");
  let d: Diagnosis;
  try {
    d = await diagnose(flags, (done, total) => bar.update(done, total));
  } finally {
    bar.stop();
  }
  if (flags.json === true) {
    printJson<DoctorJson>(d);
    return;
  }
  const { kernels, variants, speeds, estimate } = d;
  const chosen =
    kernels.reason === undefined ? kernels.name : `${kernels.name} (${kernels.reason})`;
  const about = [
    ["CPU", `${d.cpu || (cpus()[0]?.model ?? "-")}, ${d.threads} threads`],
    ["ggml", `${d.ggml.package} ${d.ggml.version}`],
    ["kernels", `${chosen}, products in ${kernels.precision}`],
  ];
  print(table(["", ""], about).split("\n").slice(1).join("\n"));
  if (variants.length > 0) {
    const rows = variants.map((v) => [
      v.name,
      v.available ? "yes" : "no",
      ...(v.errors === undefined ? ["-", ""] : selftest(v)),
    ]);
    print(`\n${table(["variant", "runs here", "self-test", "largest error"], rows)}`);
  }
  const rows = speeds.map((s) => [
    s.what,
    s.ggml === undefined ? "-" : `${s.ggml.toFixed(0)} ${s.unit}`,
    `${s.ours.toFixed(0)} ${s.unit}`,
    s.ggml === undefined ? "" : `${(s.ours / s.ggml).toFixed(1)} ×`,
  ]);
  print(`\n${table(["speed", "ggml", kernels.name, ""], rows)}`);
  print(
    `\nA model of 135 million 4-bit weights would read a prompt of 2,000 tokens at about ${round(estimate.prefill)} tokens/s` +
      ` and write about ${round(estimate.decode)} tokens/s after it with 128 kept.`,
  );
  note(style("dim", "Estimates from single operations; pyramidkv bench measures a real model."));
}

function selftest(v: Diagnosis["variants"][number]): [string, string] {
  const worst = Math.max(
    ...Object.values(v.errors ?? {}).map((e) => (Number.isNaN(e) ? Infinity : e)),
  );
  return [
    v.passes === true ? style("green", "passed") : style("red", "FAILED"),
    worst.toExponential(1),
  ];
}

const round = (x: number) => Number(x.toPrecision(2)).toLocaleString("en");
