import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { strftime } from "./python-time.ts";
import { JinjaTemplate } from "./template.ts";

interface Golden {
  readonly context: Record<string, unknown>;
  readonly cases: readonly (readonly [template: string, rendered: string])[];
}
const url = new URL("../../../test/golden/jinja-features.json", import.meta.url);
const { context, cases } = JSON.parse(readFileSync(url, "utf8")) as Golden;
const NOW = new Date(2026, 0, 5, 3, 4, 6);

interface Chats {
  readonly chats: readonly {
    readonly messages: readonly object[];
    readonly tools?: readonly object[];
    readonly variables?: Record<string, unknown>;
  }[];
  readonly templates: readonly {
    readonly name: string;
    readonly source: string;
    readonly texts: readonly (string | { readonly error: string })[];
  }[];
}
const families = JSON.parse(
  readFileSync(new URL("../../../test/golden/chat-templates.json", import.meta.url), "utf8"),
) as Chats;

/** With tools, calls of them and what they give, system messages, several turns. */
describe.each(families.templates)("the template of $name", ({ source, texts }) => {
  it.each(texts.map((text, i) => [i, text] as const))(
    "renders chat %i as Python's does",
    (i, text) => {
      const { messages, tools, variables } = families.chats[i] as Chats["chats"][number];
      const given = tools === undefined ? {} : { tools };
      const special = { add_generation_prompt: true, bos_token: "<s>", eos_token: "</s>" };
      const render = () =>
        new JinjaTemplate(source).render({ ...variables, ...given, messages, ...special }, NOW);
      if (typeof text === "string") expect(render()).toBe(text);
      else expect(render).toThrow(text.error);
    },
  );
});

describe("a Jinja template", () => {
  it.each(cases)("renders %s as Python's Jinja does", (template, rendered) => {
    expect(new JinjaTemplate(template).render(context, NOW)).toBe(rendered);
  });

  it("renders the same each time", () => {
    const template = new JinjaTemplate(
      "{% for i in xs %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% endfor %}",
    );
    expect([1, 2, 3].map(() => template.render(context))).toEqual(["31", "31", "31"]);
  });

  it.each([
    ["{{ 'a' | nosuchfilter }}", /nosuchfilter/],
    ["{{ s.nosuchmethod() }}", /not a function/],
    ["{{ '%d' | format('x') }}", /a number is required/],
    ["{{ s.index('q') }}", /substring not found/],
    ["{{ raise_exception('only users') }}", /only users/],
    ["{{ range(10 ** 9) }}", /range\(\) is longer than 100000/],
    ["{{ 1 % 0 }}", /modulo by zero/],
  ])("refuses %s", (template, message) => {
    expect(() => new JinjaTemplate(template).render(context)).toThrow(message);
  });

  it.each(["{% if %}", "{{ (1 }}", "{% with %}", "{% nosuchtag %}", "{% for x in xs %}"])(
    "does not take %s",
    (template) => {
      expect(() => new JinjaTemplate(template)).toThrow();
    },
  );

  it("strips what Python strips, and nothing else", () => {
    const letters = fc.array(fc.constantFrom("x", "y", " ", "\t", "é", "😀"), { maxLength: 9 });
    const text = letters.map((all) => all.join(""));
    fc.assert(
      fc.property(text, text, (s, chars) => {
        const template = new JinjaTemplate(
          "{{ s.strip(chars) }}|{{ s.lstrip() }}|{{ s.rstrip() }}",
        );
        const all = Array.from(s);
        const out = (c: string) => chars.includes(c);
        const from = all.findIndex((c) => !out(c));
        const to = all.findLastIndex((c) => !out(c));
        const stripped = from < 0 ? "" : all.slice(from, to + 1).join("");
        expect(template.render({ s, chars })).toBe(`${stripped}|${s.trimStart()}|${s.trimEnd()}`);
      }),
    );
  });
});

describe("strftime", () => {
  it("writes what Python writes in its C locale", () => {
    const format = "%a %A %b %B %d %-d %e %H %I %j %m %M %p %S %y %Y %% %F %T %D %q";
    expect(strftime(NOW, format)).toBe(
      "Mon Monday Jan January 05 5  5 03 03 005 01 04 AM 06 26 2026 % 2026-01-05 03:04:06 01/05/26 %q",
    );
    expect(strftime(new Date(2024, 11, 31, 0, 0, 0), "%j %I %p %w %u")).toBe("366 12 AM 2 2");
  });
});
