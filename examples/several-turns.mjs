// A conversation whose cache goes on from turn to turn: node examples/several-turns.mjs [model]
import { Conversation, Engine } from "pyramidkv";

const engine = await Engine.load({ model: process.argv[2] ?? "smollm2-135m" });
const session = engine.createSession({ method: "pyramidkv", kvSize: 64 });
const chat = new Conversation(session, engine.tokenizer);

for (const message of ["My name is Ada.", "What is a KV cache?", "What is my name?"]) {
  process.stdout.write(`> ${message}\n`);
  for await (const piece of chat.send(message, { maxTokens: 40 })) process.stdout.write(piece.text);
  process.stdout.write(
    `\n  (${session.nPast} tokens seen, ${Math.round(session.cache.meanKept)} kept per layer)\n`,
  );
}
session[Symbol.dispose]();
await engine[Symbol.asyncDispose]();
