// One prefill, every method that needs no other reading of the prompt: node examples/compare-methods.mjs [model]
import { Engine, METHODS } from "pyramidkv";

const engine = await Engine.load({ model: process.argv[2] ?? "smollm2-135m" });
const text = "The quick brown fox jumps over the lazy dog. ".repeat(60);
const prompt = engine.tokenizer.encode(text, { parseSpecial: false });

const methods = Object.keys(METHODS).filter((name) => METHODS[name].probe === undefined);
const sessions = methods.map((method) => engine.createSession({ method, kvSize: 64 }));
await engine.prefillTogether(sessions, prompt);
for (const session of sessions) {
  const kept = session.cache.layers.map((layer) => layer.kept.toFixed(0));
  const name = session.compression.method.name.padEnd(20);
  console.log(`${name} ${session.cache.bytes} bytes, kept per layer: ${kept.join(" ")}`);
  session[Symbol.dispose]();
}
await engine[Symbol.asyncDispose]();
