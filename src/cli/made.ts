import { readFileSync } from "node:fs";
import type { Made } from "../page/page.ts";

/** How the page of this run is made: today, by this command. */
export function madeNow(): Made {
  return {
    command: ["pyramidkv", ...process.argv.slice(2).map(quoted)].join(" "),
    date: new Date().toISOString().slice(0, 10),
    version: packageVersion(),
  };
}

/** An argument as a shell reads it back. */
function quoted(argument: string): string {
  if (/^[\w./,:=@%+-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", String.raw`'\''`)}'`;
}

export function packageVersion(): string {
  const url = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}
