import { PyramidKVError } from "../errors.ts";
import { Graph } from "./graph.ts";
import { writeInput, zeroTensor, type Tensor, type TensorSpec } from "./tensor-buffer.ts";
import { rowBytes, TYPES, type TensorType } from "./types.ts";

/** A graph whose inputs come with their data. */
export class InputGraph extends Graph {
  readonly #uploads: (() => void)[] = [];

  /** An input tensor holding `data`, written once the graph has its memory, if anything there uses it. */
  constant(type: TensorType, shape: TensorSpec["shape"], data: ArrayBufferView): Tensor {
    const [width = 1, ...rest] = shape;
    const bytes = rest.reduce((a, b) => a * b, rowBytes(type, width));
    if (data.byteLength !== bytes) {
      // ggml would end the process.
      throw new PyramidKVError("NATIVE", `${data.byteLength} bytes for a constant of ${bytes}`);
    }
    const tensor = this.input({ type, shape });
    this.#uploads.push(() => writeInput(tensor, data));
    return tensor;
  }

  /** A tensor that holds zeros when the graph starts, f32. */
  zeros(shape: TensorSpec["shape"]): Tensor {
    const tensor = this.input({ type: TYPES.f32, shape });
    const bytes = shape.reduce((a, b) => a * b, 4);
    this.#uploads.push(() => zeroTensor(tensor, 0, bytes));
    return tensor;
  }

  /** @internal */
  upload(): void {
    for (const upload of this.#uploads) upload();
  }
}
