import { analysisCsv } from "../analysis/csv.ts";
import { namesOf, type Analyzed } from "../analysis/analyzed.ts";
import { analysisPage } from "../analysis/page/analysis-page.ts";
import { writeFiles, writePage } from "../page/write.ts";
import { madeNow } from "./made.ts";

/** Writes the page, the pictures, the numbers and the budgets into a folder, and returns the numbers as JSON. */
export async function writeAnalysis(
  folder: string,
  texts: readonly Analyzed[],
  { png }: { readonly png: boolean },
): Promise<string> {
  const names = namesOf(texts);
  const json = `${JSON.stringify({ analyses: texts }, shortened)}\n`;
  const budgets = texts.flatMap(({ fitted }, i) =>
    fitted.map(({ kvSize, budgets }) => [
      `budgets-${fileName(names[i] as string)}-${kvSize}.json`,
      `${JSON.stringify(budgets)}\n`,
    ]),
  );
  await writeFiles(folder, {
    "analysis.json": json,
    "analysis.csv": analysisCsv(texts),
    ...(Object.fromEntries(budgets) as Record<string, string>),
  });
  const page = { ...(await analysisPage(texts)), made: madeNow() };
  await writePage(folder, "analysis", page, { png });
  return json;
}

/** A name without what file systems forbid. */
function fileName(name: string): string {
  return name.replace(/[/\\:*?"<>| ]+/g, "-");
}

/** Six digits; pictures of heads are left out, which are the library's to give, and lists of positions become arrays. */
function shortened(key: string, value: unknown): unknown {
  if (key === "maps" && Array.isArray(value)) return undefined;
  if (value instanceof Int32Array) return Array.from(value);
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
