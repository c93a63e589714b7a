import { expect, it } from "vitest";
import { buildGguf } from "../../test/helpers/gguf-writer.ts";
import { seededRandom } from "../../test/helpers/random.ts";
import { TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { PyramidKVError } from "../errors.ts";

const CASES = 2_400;
/** The tiny file has 200 kB; nothing in a damaged copy may ask for much more than that. */
const MAX_GROWTH_BYTES = 256 * 1024 * 1024;

/** What can happen to a header: bits flip, the file ends early, a count becomes huge, bytes move. */
const DAMAGES: ((bytes: Uint8Array, header: number, random: () => number) => Uint8Array)[] = [
  (bytes, header, random) => {
    for (let i = 0; i <= random() * 4; i++) {
      const at = Math.floor(random() * header);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    }
    return bytes;
  },
  (bytes, _header, random) => bytes.subarray(0, Math.floor(random() * bytes.length)),
  (bytes, header, random) => {
    const huge = [2n ** 64n - 1n, 2n ** 63n, 2n ** 40n, 2n ** 32n, 2n ** 31n, 0n];
    const at = Math.floor(random() * (header - 8));
    const value = huge[Math.floor(random() * huge.length)] ?? 0n;
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(at, value, true);
    return bytes;
  },
  (bytes, header, random) => {
    const [from, to] = [Math.floor(random() * header), Math.floor(random() * header)];
    bytes.copyWithin(to, from, Math.min(header, from + Math.floor(random() * 64)));
    return bytes;
  },
];

it(`survives ${CASES} damaged files: an error each time, or a model that runs`, async () => {
  using folder = new TestFolder();
  const random = seededRandom(42);
  const files = [{ vocabulary: true }, { vocabulary: false }].map((options) => {
    const { metadata, tensors } = tinyModel({ nLayer: 2, ...options });
    const data = tensors.reduce((sum, t) => sum + t.data.length, 0);
    const bytes = buildGguf(metadata, tensors);
    return { bytes, header: bytes.length - data };
  });
  const before = process.memoryUsage().rss;
  let refused = 0;
  for (let i = 0; i < CASES; i++) {
    const { bytes, header } = files[i % files.length] as (typeof files)[number];
    const damage = DAMAGES[i % DAMAGES.length] as (typeof DAMAGES)[number];
    const path = folder.file("damaged.gguf", damage(bytes.slice(), header, random));
    try {
      await using engine = await Engine.load({ model: path, threads: 1 });
      using session = engine.createSession({ method: "pyramidkv", kvSize: 16 });
      const n = Math.min(24, engine.model.nCtx - 1);
      await session.prefill(Array.from({ length: n }, (_, t) => t % engine.model.nVocab));
      await session.decode(1);
    } catch (error) {
      if (!(error instanceof PyramidKVError)) throw error;
      expect(error.message).not.toContain("\n");
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(CASES / 2);
  expect(refused).toBeLessThan(CASES);
  expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
}, 300_000);
