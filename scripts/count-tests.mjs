// Adds up the closing lines of several vitest runs: node scripts/count-tests.mjs LOG
import { readFileSync } from "node:fs";

const totals = { passed: 0, failed: 0, skipped: 0 };
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  if (!/^\s+Tests\s/.test(line)) continue;
  for (const [, n, what] of line.matchAll(/(\d+) (passed|failed|skipped)/g))
    totals[what] += Number(n);
}
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
