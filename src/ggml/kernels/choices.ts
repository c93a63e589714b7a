import { PyramidKVError, requireOneOf } from "../../errors.ts";
import { kernelLibrary, type KernelVariant } from "./library.ts";

/** What computes attention and matmuls: the best of our own kernels, ggml, or one variant by name. */
export const KERNEL_CHOICES = [
  "auto",
  "ggml",
  "avx2",
  "avx512",
  "avx512vnni",
  "avx512bf16",
  "avx512vnnibf16",
  "amx",
  "neon",
] as const;

/** The chosen variant; where there is none, ggml's own operations are used, for the reason given. */
export interface ChosenKernels {
  readonly variant?: KernelVariant;
  readonly reason?: string;
}

/**
 * Chooses the kernels. `auto` takes the fastest variant that runs on this CPU and whose self-test passes.
 *
 * @throws `USAGE` on an unknown name, `UNSUPPORTED` where a variant asked for by name does not run here
 */
export function chooseKernels(choice: string): ChosenKernels {
  const name = requireOneOf("kernels", choice, KERNEL_CHOICES);
  if (name === "ggml") return { reason: "asked for" };
  const library = kernelLibrary();
  if (typeof library === "string") {
    if (name === "auto") return { reason: library };
    throw new PyramidKVError("UNSUPPORTED", `there are no ${name} kernels here: ${library}`);
  }
  const running = library.variants.filter((v) => v.available);
  if (name === "auto") {
    const variant = running.find((v) => v.passes());
    if (variant !== undefined) return { variant };
    if (running.length > 0) {
      return { reason: `self-test failed: ${running.map((v) => v.name).join(", ")}` };
    }
    const { notBuilt } = library;
    return { reason: `no variant runs on this CPU${notBuilt === "" ? "" : `; ${notBuilt}`}` };
  }
  const variant = running.find((v) => v.name === name);
  if (variant === undefined) {
    const names = ["ggml", ...running.map((v) => v.name)].join(", ");
    throw new PyramidKVError(
      "UNSUPPORTED",
      `the ${name} kernels do not run on this CPU; available: ${names}`,
    );
  }
  if (!variant.passes()) {
    throw new PyramidKVError("UNSUPPORTED", `the ${name} kernels failed their self-test`);
  }
  return { variant };
}

/** What attention and matmuls are computed with. */
export interface KernelInfo {
  /** `ggml`, or the variant of our own kernels. */
  readonly name: string;
  /** Precision of the products: with int8, ggml rounds activations of quantized weights to 8 bits, and our kernels those of prompts. */
  readonly precision: "int8" | "f32" | "bf16";
  /** Why ggml's operations are used. */
  readonly reason?: string;
}

/** A choice in words. */
export function kernelInfo({ variant, reason }: ChosenKernels): KernelInfo {
  if (variant !== undefined) return { name: variant.name, precision: variant.precision };
  return { name: "ggml", precision: "int8", reason: reason ?? "" };
}
