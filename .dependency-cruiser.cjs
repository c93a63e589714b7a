/**
 * The rooms of docs/structure.md, lowest first. A room may import itself and what stands below it;
 * rooms on one line do not know each other.
 */
const rooms = [
  ["page"],
  ["ggml"],
  ["gguf"],
  ["tokenizer", "hub"],
  ["models"],
  ["kvcache"],
  ["compression"],
  ["engine"],
  ["plan", "measure"],
  ["eval", "analysis"],
  ["bench"],
  ["cli"],
];

const path = (names) => `^src/(${names.join("|")})/`;

const downwards = rooms.flatMap((line, i) =>
  line.map((room) => ({
    name: `${room}-imports-downwards`,
    severity: "error",
    from: { path: path([room]), pathNot: "\\.test\\.ts$" },
    to: { path: path([...rooms.slice(i).flat()].filter((r) => r !== room)) },
  })),
);

/** The wings of the engine, lowest first; those on one line do not know each other, and none knows what stands above. */
const wings = [["observe"], ["cut", "decode"], ["read"]];
const wingPath = (names) => `^src/engine/(${names.join("|")})/`;

const withinEngine = wings.flatMap((line, i) =>
  line.map((wing) => ({
    name: `engine-${wing}-imports-downwards`,
    severity: "error",
    from: { path: wingPath([wing]), pathNot: "\\.test\\.ts$" },
    to: {
      path: "^src/engine/",
      pathNot: wingPath([wing, ...wings.slice(0, i).flat()]),
    },
  })),
);

module.exports = {
  forbidden: [
    ...downwards,
    ...withinEngine,
    {
      name: "only-ggml-is-native",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/ggml/" },
      to: { path: "node_modules/koffi" },
    },
    {
      name: "no-tensors-above-the-engine",
      severity: "error",
      from: { path: path(["measure", "eval", "analysis", "cli"]), pathNot: "\\.test\\.ts$" },
      to: { path: path(["ggml", "kvcache"]) },
    },
    {
      name: "no-tensors-in-bench",
      severity: "error",
      from: { path: path(["bench"]), pathNot: "\\.test\\.ts$" },
      to: {
        path: path(["ggml", "kvcache"]),
        // The peer, and what kernels and libraries there are.
        pathNot: "^src/ggml/(libllama|platform|kernels/(choices|library))\\.ts$",
      },
    },
    {
      name: "the-runner-knows-no-suite",
      severity: "error",
      from: { path: "^src/eval/run/", pathNot: "\\.test\\.ts$" },
      to: { path: "^src/(eval/(longbench|needle|ruler|queue|report)/|eval/scored-tasks)" },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, pathNot: "\\.test\\.ts$" },
      to: {},
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
  },
};
