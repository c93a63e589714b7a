import { METHODS } from "./methods.ts";
import type { Method } from "./method.ts";
import { PRESETS } from "./presets.ts";

const SCORED_BY = {
  nothing: "positions alone",
  "window-queries": "attention of the last α prompt tokens",
  "all-queries": "attention of all prompt tokens",
} as const;

/** The reference page of methods and presets, as Markdown: `docs/methods.md` is this. */
export function describeMethods(): string {
  const methods = Object.values(METHODS).map((m: Method) => {
    const options = m.options.map((o) => `\`${o}\``).join(" ");
    return `| \`${m.name}\` | ${m.summary} | ${SCORED_BY[m.needs]} | ${options} | ${m.paper ?? ""} |`;
  });
  const presets = Object.entries(PRESETS).map(
    ([name, p]) =>
      `| \`${name}\` | ${p.alpha} | ${p.window} | ${p.beta} | ${p.pool} ${p.kernel} | ${p.gqa} | ${p.rounding} |`,
  );
  return [
    "# Methods",
    "",
    "Made from the tables in `src/compression` by `npm run docs`.",
    "",
    "| method | what it does | scored by | options | paper |",
    "|---|---|---|---|---|",
    ...methods,
    "",
    "## Presets",
    "",
    "Published numbers use different values, so results always name theirs. A method's own defaults",
    "(`h2o`: window 32; `streaming-llm`: 4 sinks) come before the preset's, and given options before both.",
    "",
    "| preset | α | window | β | pooling | over the group | budgets rounded |",
    "|---|---|---|---|---|---|---|",
    ...presets,
    "",
  ].join("\n");
}
