// Draws docs/speed-*.svg from a CSV that `pyramidkv bench grid --append` wrote. Run by `npm run plots`.
import { readFileSync, writeFileSync } from "node:fs";
import * as Plot from "@observablehq/plot";
import { autoType, csvParse } from "d3-dsv";
import { draw } from "../dist/page/draw.js";

const [path = "bench/results/intel-xeon-amx.csv"] = process.argv.slice(2);
const rows = csvParse(readFileSync(path, "utf8"), autoType)
  .filter(({ batch }) => batch === 1)
  .map((row) => ({
    ...row,
    way: row.kv_size === null ? row.method : `${row.method} ${row.kv_size}`,
    work: `${row.prompt_tokens} tokens`,
  }));
const ways = [...new Set(rows.map(({ way }) => way))];
const works = [...new Set(rows.map(({ work }) => work))];

/** Medians as bars, the range of the rounds as a line, one field a prompt and batch. */
function speeds(of, label) {
  const place = { y: "way", fy: "work" };
  return draw({
    ...{ width: 800, height: 60 + works.length * (18 * ways.length + 14), marginLeft: 125 },
    x: { label, grid: true, insetRight: 70 },
    y: { label: null, domain: ways },
    fy: { label: null, domain: works },
    color: { domain: ways },
    marks: [
      Plot.barX(rows, { ...place, x: of, fill: "way", inset: 1 }),
      Plot.ruleY(rows, { ...place, x1: `${of}_min`, x2: `${of}_max` }),
      Plot.text(rows, {
        ...{ ...place, x: `${of}_max`, textAnchor: "start", dx: 4 },
        text: (row) => {
          const ratio = row[`${of}_ratio`];
          return row[of].toFixed(0) + (ratio === null ? "" : ` (${ratio.toFixed(1)} ×)`);
        },
      }),
    ],
    marginRight: 130,
  });
}

writeFileSync("docs/speed-prefill.svg", speeds("prefill", "prefill, tokens a second"));
writeFileSync("docs/speed-decode.svg", speeds("decode", "decode, tokens a second"));
