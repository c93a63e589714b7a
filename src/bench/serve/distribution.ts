import { PyramidKVError } from "../../errors.ts";

/** A number of tokens that no model takes. */
const LONGEST = 2 ** 24;

/** Draws whole numbers of at least 1. */
export type Distribution = (random: () => number) => number;

const NUMBER = String.raw`(\d+(?:\.\d+)?)`;
const FORMS: readonly {
  readonly form: RegExp;
  readonly make: (a: number, b: number) => Distribution;
}[] = [
  { form: new RegExp(`^${NUMBER}$`), make: (n) => () => n },
  {
    form: new RegExp(`^uniform:${NUMBER}-${NUMBER}$`),
    make: (least, most) => (random) => least + random() * (most - least + 1) - 0.5,
  },
  {
    form: new RegExp(`^lognormal:${NUMBER},${NUMBER}$`),
    make: (median, sigma) => (random) => median * Math.exp(sigma * normal(random)),
  },
];

/** The distribution that a text names: `256`, `uniform:64-512` or `lognormal:256,0.5` (median, sigma); throws `USAGE`. */
export function parseDistribution(what: string, text: string): Distribution {
  for (const { form, make } of FORMS) {
    const [, a, b] = form.exec(text) ?? [];
    if (a === undefined || Number(a) < 1 || Number(b ?? a) < 0) continue;
    if (text.startsWith("uniform") && Number(b) < Number(a)) continue;
    const draw = make(Number(a), Number(b));
    return (random) => Math.min(LONGEST, Math.max(1, Math.round(draw(random))));
  }
  throw new PyramidKVError(
    "USAGE",
    `${what} "${text}" is none of 256, uniform:64-512 and lognormal:256,0.5 (median, sigma)`,
  );
}

/** Time between two arrivals, in seconds, of `rate` a second that come independently. */
export function interval(rate: number, random: () => number): number {
  return -Math.log(1 - random()) / rate;
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
