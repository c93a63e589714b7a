import { EVIDENCE } from "./evidence.ts";
import { METHODS } from "./methods.ts";
import type { ListedMethod, Method } from "./method.ts";
import { PRESETS } from "./presets.ts";
import type { Wrapper } from "./wrapper.ts";
import { WRAPPERS } from "./wrappers.ts";

/** What a method ranks tokens by, in words. */
export function scoredBy({ needs }: Pick<Method, "needs">): string {
  return needs.length === 0 ? "positions alone" : needs.map((kind) => EVIDENCE[kind]).join("; ");
}

/** The reference page of methods and presets, as Markdown: `docs/methods.md` is this. */
export function describeMethods(): string {
  const methods = Object.values(METHODS).map((m: ListedMethod) => {
    const options = m.options.map((o) => `\`${o}\``).join(" ");
    const budget = m.budget.name;
    const aware = m.queryAware ? "yes" : "no";
    return `| \`${m.name}\` | ${m.standing} | ${m.summary} | ${scoredBy(m)} | ${budget} | ${aware} | ${options} | ${m.paper ?? ""} |`;
  });
  const wrappers = Object.entries(WRAPPERS).map(([name, w]: [string, Wrapper]) => {
    const call = w.argument === undefined ? `${name}(…)` : `${name}:N(…)`;
    return `| \`${call}\` | ${w.standing} | ${w.argument ?? ""} | ${w.summary} | ${w.paper ?? ""} |`;
  });
  const named: [string, Pick<Wrapper, "paper" | "deviations">][] = [
    ...Object.values(METHODS).map((m: Method) => [m.name, m] as [string, Method]),
    ...Object.entries<Wrapper>(WRAPPERS),
  ];
  const deviations = named.flatMap(([name, { paper, deviations: reasons }]) =>
    reasons === undefined ? [] : [`- **\`${name}\`** (${paper ?? "ours"}): ${reasons.join("; ")}.`],
  );
  const presets = Object.entries(PRESETS).map(
    ([name, p]) =>
      `| \`${name}\` | ${p.alpha} | ${p.window} | ${p.beta} | ${p.pool} ${p.kernel} | ${p.gqa} | ${p.rounding} |`,
  );
  return [
    "# Methods",
    "",
    "Made from the tables in `src/compression` by `npm run docs`.",
    "",
    "Query-aware methods follow what the end of the prompt asks; the others hold for any question.",
    "",
    "| method | for | what it does | ranks by | budget | query-aware | options | source |",
    "|---|---|---|---|---|---|---|---|",
    ...methods,
    "",
    "## Wrappers",
    "",
    "Put around a method, and around each other: `every:128(ada(snapkv))`.",
    "",
    "| wrapper | for | argument | what it changes | source |",
    "|---|---|---|---|---|",
    ...wrappers,
    "",
    "## Where they differ from their sources",
    "",
    "What is not listed is computed as the paper, or the authors' code, has it.",
    "",
    ...deviations,
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
