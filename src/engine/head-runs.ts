/** Neighbouring kv heads that hold equally many tokens before a prefill. */
export interface HeadRun {
  readonly firstHead: number;
  readonly nHeadKv: number;
  /** Tokens that each of them holds already. */
  readonly nPast: number;
}

/** Groups kv heads by how many tokens they hold, keeping their order. */
export function headRuns(pastPerHead: readonly number[]): HeadRun[] {
  const runs: HeadRun[] = [];
  pastPerHead.forEach((nPast, h) => {
    const last = runs.at(-1);
    if (last?.nPast === nPast) runs[runs.length - 1] = { ...last, nHeadKv: last.nHeadKv + 1 };
    else runs.push({ firstHead: h, nHeadKv: 1, nPast });
  });
  return runs;
}

/** Query heads that attend to a run's kv heads. */
export function queryHeads(
  run: Pick<HeadRun, "nHeadKv">,
  model: { readonly nHead: number; readonly nHeadKv: number },
): number {
  return (run.nHeadKv * model.nHead) / model.nHeadKv;
}
