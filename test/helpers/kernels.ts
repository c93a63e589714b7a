import { kernelLibrary } from "../../src/ggml/kernels/library.ts";

const library = kernelLibrary();
const variants = typeof library === "string" ? [] : library.variants.filter((v) => v.available);

/** ggml's operations and every variant of our own kernels that runs on this CPU. */
export const KERNELS: readonly string[] = ["ggml", ...variants.map((v) => v.name)];

/** Those whose products are f32, and so the same for all purposes but the last bits. */
export const F32_KERNELS: readonly string[] = [
  "ggml",
  ...variants.filter((v) => v.precision === "f32").map((v) => v.name),
];

/** Largest difference of logits that rounding products to bf16 explains on the tiny models. */
export function tolerance(kernels: string, f32: number): number {
  return F32_KERNELS.includes(kernels) ? f32 : Math.max(f32, 0.3);
}
