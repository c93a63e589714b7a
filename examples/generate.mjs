// Answer a prompt from a compressed cache: node examples/generate.mjs [model]
import { Engine } from "pyramidkv";

const engine = await Engine.load({ model: process.argv[2] ?? "smollm2-135m" });
const session = engine.createSession({ method: "pyramidkv", kvSize: 128 });

const question = "Name three rivers in Europe.";
await session.prefill(engine.tokenizer.encodeChat([{ role: "user", content: question }]));
for await (const piece of session.generate({ maxTokens: 40 })) process.stdout.write(piece.text);

console.log(`\n${session.cache.meanKept} tokens per layer, ${session.cache.bytes} bytes`);
session[Symbol.dispose]();
await engine[Symbol.asyncDispose]();
