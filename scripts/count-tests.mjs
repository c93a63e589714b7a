// Adds up the closing lines of several vitest runs: node scripts/count-tests.mjs LOG
import { readFileSync } from "node:fs";

const totals = { passed: 0, failed: 0, skipped: 0 };
let failedFiles = 0;
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  const [, of] = /^\s+(Test Files|Tests)\s/.exec(line) ?? [];
  if (of === undefined) continue;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, n, what] of line.matchAll(/(\d+) (passed|failed|skipped)/g))
    counts[what] = Number(n);
  if (of === "Test Files") {
    failedFiles = counts.failed;
    continue;
  }
  // A file may fail before any test of it runs.
  counts.failed = Math.max(counts.failed, failedFiles);
  for (const what of Object.keys(totals)) totals[what] += counts[what];
}
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
