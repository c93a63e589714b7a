import { defineConfig } from "vitest/config";

/** One worker where real models or the whole machine are used, so that suites do not slow each other. */
const alone = { pool: "forks", fileParallelism: false, maxWorkers: 1 } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts"],
          setupFiles: ["test/helpers/setup.ts"],
          pool: "forks",
          maxWorkers: 2,
          // Ends what hangs; how long a test takes on a slow machine is no fault of it.
          testTimeout: 240_000,
        },
      },
      {
        test: {
          name: "native",
          include: ["test/native/**/*.test.ts"],
          ...alone,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "package",
          include: ["test/package/**/*.test.ts"],
          globalSetup: ["test/package/setup.ts"],
          ...alone,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "model",
          include: ["test/model/**/*.test.ts"],
          ...alone,
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "examples",
          include: ["test/examples/**/*.test.ts"],
          ...alone,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
