import type { Method } from "../compression/method.ts";
import { METHODS } from "../compression/methods.ts";
import { profileOf, type HeadLoss, type HeadProfile } from "../compression/profile.ts";
import { greedyCourse } from "../measure/course.ts";
import { klDivergence, surprise } from "../measure/divergence.ts";
import type { Engine } from "../engine/engine.ts";
import type { Session } from "../engine/session.ts";
import { throwIfAborted } from "../errors.ts";
import { untrustedText } from "../tokenizer/prompt-text.ts";
import { joined } from "./run/sample.ts";
import { documentCases, encodeTexts, needleCases, type EvalCase } from "./cases.ts";

/** Tokens that every head keeps, and the starved one: 4 sinks and its 20 newest. */
const KEPT = 512;
const STARVED = 24;
/** Tokens that are forced after a document. */
const STEPS = 64;
/** Sessions that share a prefill. */
const BATCH = 30;

export interface CalibrateOptions {
  readonly texts: readonly string[];
  readonly documents: number;
  readonly needles: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (done: number, total: number) => void;
}

/**
 * What each kv head is worth: it alone is starved, all others keep 512 tokens, and the loss is measured against
 * none starved: divergence from the full cache after documents, log-probability of hidden numbers.
 */
export async function calibrate(engine: Engine, o: CalibrateOptions): Promise<HeadProfile> {
  const { compressible, nHeadKv } = engine.model;
  const heads = compressible.length * nHeadKv;
  const depths = Array.from({ length: o.needles }, (_, i) => (i + 0.5) / o.needles);
  const sources = encodeTexts(engine.tokenizer, o.texts);
  const cases = [
    ...documentCases(engine.tokenizer, sources, o.documents),
    ...needleCases(engine.tokenizer, sources, { lengths: [2000], depths }, "calibration"),
  ];
  const losses = Array.from({ length: heads }, (): HeadLoss => ({ kl: 0, nll: 0 }));
  const total = cases.length * (heads + 1);
  let done = 0;
  for (const example of cases) {
    const measured = await starveEach(engine, example, o.signal, () => o.onStep?.(++done, total));
    const [base = 0, ...starved] = measured;
    const kind = example.answer === undefined ? "kl" : "nll";
    const share = 1 / (kind === "kl" ? o.documents : o.needles);
    starved.forEach((loss, i) => {
      const headLoss = losses[i] as HeadLoss;
      losses[i] = { ...headLoss, [kind]: headLoss[kind] + (loss - base) * share };
    });
  }
  return profileOf(engine.fingerprint, losses, nHeadKv);
}

/** The loss with no head starved, then with each in turn. */
async function starveEach(
  engine: Engine,
  example: EvalCase,
  signal: AbortSignal | undefined,
  onDone: () => void,
): Promise<number[]> {
  const { compressible, nHeadKv } = engine.model;
  const nHeads = compressible.length * nHeadKv;
  const prompt = joined(example);
  const starved = [undefined, ...Array.from({ length: nHeads }, (_, i) => i)];
  const methods = starved.map((head) => starving(head, nHeadKv));
  const losses: number[] = [];
  let truth: Truth | undefined;
  for (let at = 0; at < methods.length; at += BATCH) {
    const batch = methods.slice(at, at + BATCH).map((method) => ({ method, kvSize: KEPT }));
    const options = truth === undefined ? [{ method: "full" }, ...batch] : batch;
    const sessions = options.map((sessionOptions) => engine.createSession(sessionOptions));
    try {
      await engine.prefillTogether(sessions, prompt, { signal });
      for (const session of sessions) {
        throwIfAborted(signal);
        if (truth === undefined) {
          truth = await truthOf(engine, session, example);
        } else {
          losses.push(await lossOf(session, truth));
          onDone();
        }
        session[Symbol.dispose]();
      }
    } finally {
      for (const session of sessions) session[Symbol.dispose]();
    }
  }
  return losses;
}

/** Funnel's ranking with even budgets, but for one head that keeps its sinks and newest tokens only. */
function starving(head: number | undefined, nHeadKv: number): Method {
  const { funnel } = METHODS;
  const isStarved = (il: number, h: number) => il * nHeadKv + h === head;
  return {
    ...funnel,
    name: `funnel with head ${head ?? "none"} starved`,
    score: (layer, options) =>
      funnel.score(layer, options).map((r, h) => (isStarved(layer.il, h) ? null : r)),
    budget: {
      name: "starved",
      summary: "the same for all heads but one",
      kind: "heads",
      heads: ({ nLayer }) =>
        Array.from({ length: nLayer }, (_, il) =>
          Array.from({ length: nHeadKv }, (_, h) => (isStarved(il, h) ? STARVED : KEPT)),
        ),
    },
  };
}

/** What is forced after the prompt; logits where the loss is divergence from the full cache. */
interface Truth {
  readonly tokens: readonly number[];
  readonly logits?: readonly Float32Array[];
}

async function truthOf(engine: Engine, session: Session, example: EvalCase): Promise<Truth> {
  if (example.answer !== undefined) {
    const answer = engine.tokenizer.encodeNext(untrustedText(example.answer));
    return { tokens: Array.from(answer) };
  }
  return greedyCourse(session, STEPS);
}

/** Mean divergence from the truth's logits, or mean −log p of its tokens. */
async function lossOf(session: Session, { tokens, logits }: Truth): Promise<number> {
  let loss = 0;
  for (const [i, token] of tokens.entries()) {
    const expected = logits?.[i];
    loss +=
      expected === undefined
        ? surprise(session.logits, token)
        : klDivergence(expected, session.logits);
    if (i + 1 < tokens.length) await session.decode(token);
  }
  return loss / tokens.length;
}
