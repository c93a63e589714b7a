export { KERNEL_CHOICES } from "../ggml/kernels/choices.ts";
