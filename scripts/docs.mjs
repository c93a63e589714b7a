// Writes what is made from the code: docs/methods.md and docs/pyramid.svg. Run by `npm run docs`.
import { writeFileSync } from "node:fs";
import { describeMethods } from "../dist/compression/describe.js";
import { resolveCompression } from "../dist/compression/resolve.js";

writeFileSync("docs/methods.md", describeMethods());
writeFileSync("docs/pyramid.svg", pyramid());

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
