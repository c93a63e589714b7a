// Writes the tables of figures in README and docs from the files of results that they name: what stands between
// `<!-- figures TABLE FILE... -->` and `<!-- /figures -->`. Run by `npm run figures`; with --check it writes nothing
// and fails where a table is not what its files give, or names a file that is not there.
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as prettier from "prettier";
import { TABLES } from "./figure-tables.mjs";

const BLOCK = /(<!-- figures ([a-z-]+)((?: [^\s>]+)+) -->\n)([^]*?)(<!-- \/figures -->)/g;

const isCheck = process.argv.includes("--check");
const documents = ["README.md", "docs", "docs/results"].flatMap((path) =>
  path.endsWith(".md")
    ? [path]
    : readdirSync(path)
        .filter((name) => name.endsWith(".md"))
        .map((name) => join(path, name)),
);

for (const path of documents) {
  const before = readFileSync(path, "utf8");
  const after = await formatted(
    path,
    before.replace(BLOCK, (_, open, table, rest, __, close) => {
      const words = rest.trim().split(" ");
      const isOption = (word) => word.includes("=");
      const options = Object.fromEntries(words.filter(isOption).map((word) => word.split("=")));
      const files = words.filter((word) => !isOption(word));
      return `${open}\n${made(path, table, files, options)}\n\n${close}`;
    }),
  );
  if (after === before) continue;
  if (isCheck) complain(`${path}: a table is not what its files give; npm run figures writes it`);
  else writeFileSync(path, after);
}

function made(path, table, files, options) {
  const missing = files.find((file) => !existsSync(file));
  if (TABLES[table] === undefined || missing !== undefined) {
    complain(`${path}: there is no ${missing ?? `table "${table}"`}`);
    return "";
  }
  return TABLES[table](
    files.map((file) => JSON.parse(readFileSync(file, "utf8"))),
    options,
    files,
  );
}

function complain(text) {
  console.error(text);
  process.exitCode = 1;
}

/** As `npm run format` leaves it. */
async function formatted(path, text) {
  const { ignored } = await prettier.getFileInfo(path, { ignorePath: ".prettierignore" });
  if (ignored) return text;
  return prettier.format(text, { ...(await prettier.resolveConfig(path)), filepath: path });
}
