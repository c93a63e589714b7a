import type { Command } from "commander";
import { analyzeCommand } from "./analyze.ts";
import { benchCommand } from "./bench.ts";
import { calibrateCommand } from "./calibrate.ts";
import { chatCommand } from "./chat/command.ts";
import { demoCommand } from "./demo.ts";
import { evalCommand } from "./eval.ts";
import { generateCommand } from "./generate.ts";
import { doctorCommand } from "./doctor.ts";
import { methodsCommand } from "./methods.ts";
import { modelsCommand } from "./models.ts";
import { planCommand } from "./plan.ts";
import { reportCommand } from "./report.ts";

/** Every command, in the order of the help. */
export const COMMANDS: Readonly<Record<string, (command: Command) => void>> = {
  generate: generateCommand,
  chat: chatCommand,
  methods: methodsCommand,
  models: modelsCommand,
  demo: demoCommand,
  plan: planCommand,
  bench: benchCommand,
  eval: evalCommand,
  report: reportCommand,
  analyze: analyzeCommand,
  calibrate: calibrateCommand,
  doctor: doctorCommand,
};
