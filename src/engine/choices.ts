export { KERNEL_CHOICES, type KernelInfo } from "../ggml/kernels/choices.ts";
export { KV_TYPES } from "../kvcache/kv-format.ts";
