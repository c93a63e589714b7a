// The tables of figures, each made from the JSON of the files it is given.
import { mean } from "../dist/mean.js";
import { markdownTable } from "../dist/page/markdown.js";

const count = (x) => Math.round(x).toLocaleString("en");
const times = (x) => `${x.toFixed(1)} ×`;
const megabytes = (x) => `${(x / 1e6).toFixed(x < 1e7 ? 1 : 0)} MB`;
const percent = (x) => `${(100 * x).toFixed(1).replace("-", "−")} %`;
/** `3.8 · 10⁻³` */
const scientific = (x) => {
  const [digits, exponent] = x.toExponential(1).split("e");
  const raised = exponent.replace(/[-+]?\d/g, (s) =>
    [...s].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)] ?? "").join(""),
  );
  return `${digits} · 10${raised}`;
};

export const TABLES = {
  /** `bench grid`: a line for each way to run, beside libllama. */
  speed([grid]) {
    const lengths = [...new Set(grid.rows.map((row) => row.promptTokens))];
    const longest = lengths.at(-1);
    const ways = [...new Set(grid.rows.map(wayOf))];
    const line = (way) => {
      const rows = grid.rows.filter((row) => wayOf(row) === way);
      const at = (length) => rows.find((row) => row.promptTokens === length);
      const { kv } = at(longest);
      return [
        way,
        ...lengths.flatMap((length) => {
          const row = at(length);
          return [speed(row.prefill, row.prefillRatio), speed(row.decode, row.decodeRatio)];
        }),
        kv === undefined ? "" : megabytes(kv.bytes),
        kv === undefined ? "" : megabytes(kv.peakBytes),
      ];
    };
    const head = lengths.flatMap((n) => [`prefill of ${count(n)}, tokens/s`, "decode after it"]);
    return markdownTable(
      ["", ...head, `KV after ${count(longest)}`, "at its peak"],
      ways.map(line),
    );
  },

  /** `bench grid --batch-sizes`: sequences that decode together. */
  together([grid]) {
    return markdownTable(
      ["", "at once", "tokens each", "decode, tokens/s of all", "KV"],
      grid.rows.map((row) => [
        ...[wayOf(row), String(row.batch), count(row.promptTokens)],
        ...[
          speed(row.decode, row.decodeRatio),
          row.kv === undefined ? "" : megabytes(row.kv.bytes),
        ],
      ]),
    );
  },

  /** `bench engine`: load time and exactness. */
  exact([{ load, comparisons }]) {
    const lengths = comparisons.map(({ promptTokens }) => count(promptTokens)).join(", ");
    const difference = Math.max(...comparisons.map(({ logitsDifference }) => logitsDifference));
    const same = comparisons.filter(({ sameTokens }) => sameTokens).length;
    return [
      `Loading takes ${load.oursMs.toFixed(0)} ms, libllama ${load.libllamaMs.toFixed(0)} ms.`,
      `With \`--kernels ggml\`, after prompts of ${lengths} tokens, the largest difference of logits to libllama's is ${difference}, and the greedy answers are identical for ${same} of ${comparisons.length}.`,
    ].join(" ");
  },

  /** `bench prefill`: our kernels beside ggml's and libllama. */
  kernels([{ kernels, attention, prompts, peakRss }]) {
    const rows = [
      ...attention.map(({ headDim, ggml, ours, ratio }) => [
        `attention alone, heads of ${headDim}, GFLOPS`,
        `${count(ggml)} (ggml)`,
        ...[count(ours), times(ratio)],
      ]),
      ...prompts
        .map((p) => ({ p, rss: peakRss[p.promptTokens] }))
        .flatMap(({ p, rss }) => [
          [
            `prefill of ${count(p.promptTokens)} tokens, 128 kept, tokens/s`,
            ...[`${count(p.libllama)} (libllama)`, count(p.pyramidkv), times(p.overLibllama)],
          ],
          [
            `the same over one thread`,
            ...[`${count(p.oneThread)} (1 thread)`, count(p.pyramidkv), times(p.overOneThread)],
          ],
          [
            `decode after it, 128 kept, tokens/s`,
            ...[`${count(p.decode.ggml)} (ggml)`, count(p.decode.ours), times(p.decodeOverGgml)],
          ],
          [
            `the same over libllama's full cache`,
            ...[`${count(p.decode.libllama)} (libllama)`, count(p.decode.ours)],
            times(p.decodeOverLibllama),
          ],
          [
            "scoring and selecting, share of prefill",
            ...["", `pyramidkv ${percent(p.pyramidkvShare)}, h2o ${percent(p.h2oShare)}`, ""],
          ],
          [
            "peak memory of the process",
            ...[`${megabytes(rss.ggml)} (ggml)`, megabytes(rss.ours), percent(rss.ours / rss.ggml)],
          ],
        ]),
    ];
    return markdownTable(["", "beside", kernels.name, ""], rows);
  },

  /** `bench prefill`, one file a kernel: divergence from products in f32. */
  accuracy(files) {
    const [{ accuracy }] = files;
    const line = (name, all) => [
      name,
      ...all.flatMap(({ meanKl, greedyEqual }) => [scientific(meanKl), greedyEqual.toFixed(0)]),
    ];
    return markdownTable(
      [
        "",
        ...accuracy.flatMap(({ promptTokens: n }) => [
          `KL after ${n} tokens`,
          "answer alike, of 64",
        ]),
      ],
      [
        line(
          "ggml's operations",
          accuracy.map(({ ggml }) => ggml),
        ),
        ...files.map((file) =>
          line(
            `\`${file.kernels.name}\``,
            file.accuracy.map(({ ours }) => ours),
          ),
        ),
      ],
    );
  },

  /** `bench memory`, one file a machine and day: how far predictions are off. */
  memory(files, _, paths) {
    const off = ({ predicted, measured }) => Math.abs(predicted / measured - 1);
    const line = ({ rows, settings }, path) => [
      path.split("/").at(-1).slice(0, 10),
      settings.kernels.name,
      String(rows.length),
      ...["kv", "total"].map((of) => percent(Math.max(...rows.map((row) => off(row[of]))))),
    ];
    return markdownTable(
      ["run", "kernels", "configurations", "cache off by at most", "process's peak off by at most"],
      files.map((file, i) => line(file, paths[i])),
    );
  },

  /** `eval quality`, a line for each method, the nearest to the full cache first. */
  quality([{ rows }], { mode = "aware", sizes = "128,256,512,1024", methods }) {
    const { names, at } = byWay(rows, mode);
    const shown = sizes.split(",").map(Number);
    const chosen = methods === undefined ? names : methods.split(",");
    const lines = chosen.map((name) => {
      const own = shown.map((size) => at(name, size));
      return { name, kl: own.map(({ kl }) => mean(kl)), found: own.map(foundOf) };
    });
    lines.sort((a, b) => a.kl[0] - b.kl[0]);
    return markdownTable(
      [
        ...["method", ...shown.map((size, i) => (i === 0 ? `KL at ${size}` : count(size)))],
        ...shown.map((size, i) => (i === 0 ? `found at ${size}` : count(size))),
      ],
      lines.map(({ name, kl, found }) => [name, ...kl.map((x) => x.toFixed(3)), ...found]),
    );
  },

  /** `eval quality --budget-files`: budgets beside each other. */
  budgets([{ rows }]) {
    const { sizes, at } = byWay(rows, "aware");
    const line = ([name, label]) => {
      const own = sizes.map((size) => at(name, size));
      return [label, ...own.map(({ kl }) => mean(kl).toFixed(3)), ...own.map(foundOf)];
    };
    return markdownTable(
      [
        "budgets",
        ...sizes.map((n) => `KL ${n}`),
        ...sizes.map((n, i) => (i === 0 ? `needles ${n}` : `${n}`)),
      ],
      Object.entries(BUDGETS).map(line),
    );
  },

  /** `eval quality`, all that it measures, in the order of the run. */
  "quality-all"([{ rows }], { mode = "aware" }) {
    const { names, sizes, at } = byWay(rows, mode);
    const each = (what, show) => [
      sizes.map((size) => `${what} ${size}`),
      (name) => sizes.map((size) => show(at(name, size))),
    ];
    const columns = [
      each("KL", ({ kl }) => mean(kl).toFixed(3)),
      each("top-1", ({ top1 }) => mean(top1).toFixed(2)),
      each("needle", (row) => `${foundOf(row)}/${row.needles.length}`),
    ];
    return markdownTable(
      ["method", ...columns.flatMap(([head]) => head)],
      names.map((name) => [name, ...columns.flatMap(([, cells]) => cells(name))]),
    );
  },
};

/** The rows of `eval quality` in a mode, but for the full cache that all are beside; one without a size is of every size. */
function byWay(all, mode) {
  const rows = all.filter(({ run, mode: own }) => own === mode && run.name !== "full");
  return {
    names: [...new Set(rows.map(({ run }) => run.name))],
    sizes: [...new Set(rows.flatMap(({ run }) => run.size ?? []))].sort((a, b) => a - b),
    at: (name, size) => rows.find(({ run }) => run.name === name && (run.size ?? size) === size),
  };
}

/** What the runs of the fitted budgets are called. */
const BUDGETS = {
  pyramidkv: "pyramid, β = 20",
  snapkv: "even (`snapkv`)",
  "snapkv, layers-english-txt": "fitted to the English, by layer",
  "snapkv, layers-code-txt": "fitted to the code, by layer",
  "snapkv, budgets-english.txt": "fitted to the English, by kv head",
  "snapkv, budgets-code.txt": "fitted to the code, by kv head",
};

/** `pyramidkv, 128 kept` */
function wayOf({ method, kvSize }) {
  if (method === "libllama") return "libllama, full cache";
  return method === "full" ? "pyramidkv, full cache" : `${method}, ${kvSize} kept`;
}

/** `1,642 (4.8 ×)`: medians of the rounds, and of each round's ratio to libllama. */
function speed({ median }, ratio) {
  return count(median) + (ratio === undefined ? "" : ` (${times(ratio.median)})`);
}

function foundOf({ needles }) {
  return String(needles.filter(Boolean).length);
}
