// Several answers at a time, one graph a step, each with its own method: node examples/batch.mjs [model]
import { Engine } from "pyramidkv";

const engine = await Engine.load({ model: process.argv[2] ?? "smollm2-135m" });
const questions = [
  ["pyramidkv", "What's the capital city of Japan?"],
  ["snapkv", "How many days are in a week?"],
  ["full", "How many legs has a spider?"],
];
const sessions = questions.map(([method]) => engine.createSession({ method, kvSize: 128 }));
for (const [i, [, content]] of questions.entries()) {
  await sessions[i].prefill(engine.tokenizer.encodeChat([{ role: "user", content }]));
}
const answers = questions.map(() => "");
for await (const { session, text } of engine.generateTogether(sessions, { maxTokens: 24 })) {
  answers[sessions.indexOf(session)] += text;
}
for (const [i, [method, content]] of questions.entries()) {
  console.log(`${content} (${method}) ${answers[i]}`);
}
await engine[Symbol.asyncDispose]();
