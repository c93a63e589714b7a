import { tensorShape } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerState } from "../../kvcache/layer-state.ts";
import type { Chunk, ReadLayer } from "../observe/layer-observer.ts";
import type { ChunkReader } from "./read-chunk.ts";

/** More nodes than a recurrent layer has, experts aside. */
const NODES = 192;

/** One chunk through one recurrent layer, whose state it moves on; a probe, which is forgotten, leaves it as it was. */
export async function mixChunk(
  { model, x, tokensOf }: Pick<ChunkReader, "model" | "x" | "tokensOf">,
  { il, shape, attendsWhole }: Pick<ReadLayer, "il" | "shape" | "attendsWhole">,
  chunk: Chunk,
  state: LayerState,
): Promise<void> {
  const isPrompt = chunk.of === "prompt";
  // Behind the last layer only the last token's result is used.
  const n = attendsWhole ? chunk.n : Number(isPrompt && chunk.isLast);
  const { nEmbd } = model.hp;
  await shape.device.run(
    (g) => {
      const { tensors } = state;
      const input = g.rows(x, TYPES.f32, nEmbd, chunk.first, chunk.n);
      const mixed = model.graph.mix(g, il, input, [
        { before: tensors, after: isPrompt ? tensors : undefined },
      ]);
      if (n > 0) {
        const first = chunk.n - n;
        const width = tensorShape(mixed)[0] as number;
        const used = g.rows(mixed, TYPES.f32, width, first, n);
        const residual = g.rows(x, TYPES.f32, nEmbd, chunk.first + first, n);
        const tokens = g.constant(TYPES.i32, [n], tokensOf(chunk).slice(first));
        g.expand(g.copy(model.graph.finishLayer(g, il, residual, used, { tokens }), residual));
      }
      return () => undefined;
    },
    NODES + 4 * shape.ffn.nExpertUsed,
  );
}
