import type { Graph } from "../graph.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { tensorShape, type Tensor } from "../tensor-buffer.ts";
import { ggmlOperations, normed } from "./ggml.ts";
import type { LinearParts, QueryKeyValue } from "./nodes.ts";
import type { Operations } from "./operations.ts";

/** Our own kernels. Weights that they do not read, or no faster, are left to ggml. */
export function ownOperations(kernels: Kernels): Operations {
  return {
    queryTile: 1,
    rotatesByTable: true,

    linear(g, given) {
      const { norm } = given;
      // Ours norm by the root mean square on the way.
      const isOurs = norm?.bias === undefined;
      const node = isOurs ? given : { ...given, x: normed(g, given.x, norm), norm: undefined };
      const n = tensorShape(node.x)[1] as number;
      if (!kernels.takes(g, node.weights, n)) return ggmlOperations.linear(g, node);
      const result = kernels.linear(g, node);
      if (node.gated || node.weights.length === 1) return { parts: [result] };
      return partsOf(g, result, node.weights);
    },

    rotate(g, { qkv, table, k, v }, shape) {
      const q = kernels.rotate(g, { qkv: joinHeads(g, qkv), table: table(), k, v }, shape);
      g.expand(q);
      return q;
    },

    attention: (g, node) => kernels.attention(g, node),

    scores(g, node) {
      const [, nKv] = tensorShape(node.k) as [number, number];
      const into = g.zeros([nKv, tensorShape(node.q)[2] as number]);
      g.expand(kernels.attention(g, { ...node, sums: [{ into, distance: 0 }] }));
      return into;
    },

    gather(g, node) {
      g.expand(kernels.attention(g, { ...node, likeAttention: true }));
    },

    decode: {
      part: kernels.limits.decodePart,
      node: (g, inputs, shape) => kernels.decode(g, inputs, shape),
      workspaceBytes: (shape, parts) => kernels.decodeBytes(shape, parts),
    },
  };
}

/** What each weight gave, as views of what all of them gave. */
function partsOf(g: Graph, joined: Tensor, weights: readonly Tensor[]): LinearParts {
  const [total, n] = tensorShape(joined) as [number, number];
  let row = 0;
  const parts = weights.map((weight) => {
    const m = tensorShape(weight)[1] as number;
    const part = g.view2d(joined, m, n, total * 4, row * 4);
    row += m;
    return part;
  });
  return { parts, joined };
}

/** The three as one tensor, f32 [headDim · (nHead + 2 nHeadKv), n]. */
export function joinHeads(g: Graph, { q, k, v, joined }: QueryKeyValue): Tensor {
  if (joined !== undefined) return joined;
  const rows = g.concat(g.concat(q, k, 1), v, 1); // [headDim, nHead + 2 nHeadKv, n]
  const [headDim, heads, n] = tensorShape(rows) as [number, number, number];
  return g.reshape(rows, headDim * heads, n);
}
