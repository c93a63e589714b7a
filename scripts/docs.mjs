// Writes what is made from the code: docs/methods.md, docs/pyramid.svg and docs/schemas. Run by `npm run docs`; with
// --check it writes nothing and fails where a file is not what it would be.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createGenerator } from "ts-json-schema-generator";
import { describeMethods } from "../dist/compression/describe.js";
import { resolveCompression } from "../dist/compression/resolve.js";

/** What commands print with --json, by the name of the schema's file. */
const SCHEMAS = {
  generate: "GenerateJson",
  plan: "PlanJson",
  methods: "MethodsJson",
  "models-list": "ModelsJson",
  "models-inspect": "InspectJson",
  eval: "EvalJson",
  "eval-quality": "QualityJson",
  "results-line": "ResultRowJson",
  doctor: "DoctorJson",
};

const isCheck = process.argv.includes("--check");
mkdirSync("docs/schemas", { recursive: true });
put("docs/methods.md", describeMethods());
put("docs/pyramid.svg", pyramid());
const generator = createGenerator({
  ...{ path: "src/cli/json.ts", tsconfig: "tsconfig.json", skipTypeCheck: true },
  // Later versions may add fields.
  additionalProperties: true,
});
for (const [name, type] of Object.entries(SCHEMAS)) {
  const schema = generator.createSchema(type);
  put(`docs/schemas/${name}.json`, `${JSON.stringify(schema, null, 2)}\n`);
}

function put(path, content) {
  if (!isCheck) return writeFileSync(path, content);
  if (existsSync(path) && readFileSync(path, "utf8") === content) return;
  console.error(`${path} is not what the code gives; npm run docs writes it`);
  process.exitCode = 1;
}

/** Tokens kept per layer, pyramid beside uniform, for 30 layers and 128 kept on average. */
function pyramid() {
  const [layers, tokens, kvSize] = [30, 6000, 128];
  const kept = (name) => {
    const { method, options } = resolveCompression({ method: name, kvSize });
    return method.budget.layers({ nLayer: layers, nHeadKv: 1, nTokens: tokens, options });
  };
  const [rowHeight, scale, left, right] = [11, 1.1, 190, 330];
  const height = layers * rowHeight + 70;
  const bars = [
    ["pyramidkv", left, "#2563eb"],
    ["snapkv", left + right, "#94a3b8"],
  ].flatMap(([method, x, color]) => {
    const budgets = kept(method);
    const sum = budgets.reduce((a, b) => a + b, 0);
    return [
      `<text x="${x}" y="24" text-anchor="middle" font-weight="600">${method}: ${sum} tokens</text>`,
      ...budgets.map((b, il) => {
        const y = 40 + (layers - 1 - il) * rowHeight;
        const width = Math.round(b * scale);
        return `<rect x="${Math.round(x - width / 2)}" y="${y}" width="${width}" height="${rowHeight - 2}" rx="2" fill="${color}"/>`;
      }),
    ];
  });
  const labels = [0, 15, 29].map(
    (il) =>
      `<text x="8" y="${48 + (layers - 1 - il) * rowHeight}" fill="#64748b">layer ${il}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 ${height}" font-family="system-ui, sans-serif" font-size="13">
<rect width="680" height="${height}" fill="white"/>
${[...bars, ...labels].join("\n")}
<text x="340" y="${height - 8}" text-anchor="middle" fill="#64748b">tokens kept per layer, kvSize ${kvSize}: the same memory, divided differently</text>
</svg>
`;
}
