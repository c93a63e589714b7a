// A method of your own: keep the tokens with the longest values, besides the sinks and the newest ones.
import { Engine, METHODS } from "pyramidkv";

const longestValues = {
  ...METHODS.knorm,
  name: "longest-values",
  needs: ["values"],
  defaults: { sinks: 4, window: 16 },
  score: ({ heads }) =>
    heads.map((head) => {
      const values = head.values(); // [headDim, n]
      const lengthOf = (i) =>
        Math.hypot(...values.subarray(i * head.headDim, (i + 1) * head.headDim));
      return { scores: Float32Array.from({ length: head.n }, (_, i) => lengthOf(i)) };
    }),
};

const engine = await Engine.load({ model: process.argv[2] ?? "smollm2-135m" });
const session = engine.createSession({ method: longestValues, kvSize: 64 });
await session.prefill(engine.tokenizer.encode("The sea was calm that night. ".repeat(40)));
const [first] = session.cache.layers;
console.log(`kept ${session.cache.meanKept} of ${session.nPast} tokens`);
console.log(`kv head 0 of layer 0: ${first.positions(0).join(" ")}`);
await engine[Symbol.asyncDispose]();
