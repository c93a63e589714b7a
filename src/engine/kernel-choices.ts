export { KERNEL_CHOICES, type KernelInfo } from "../ggml/kernels/choices.ts";
