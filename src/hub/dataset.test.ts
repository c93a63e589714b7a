import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { sendFile, StandInServer } from "../../test/helpers/hub-server.ts";
import { TestFolder } from "../../test/helpers/tiny-model.ts";
import { storedZip } from "../../test/helpers/zip.ts";
import { datasetFile, datasetFolder } from "./dataset.ts";

const zip = storedZip({ "data/a.jsonl": "first\n", "data/b.jsonl": "second\n" });
const archive = { repo: "owner/bench", path: "data.zip" };
const files = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`${name}.jsonl`, `data/${name}.jsonl`]));

let folder: TestFolder;
beforeEach(() => {
  folder = new TestFolder();
  vi.stubEnv("PYRAMIDKV_CACHE", join(folder.path, "own"));
  vi.stubEnv("HF_TOKEN", "hf_secret");
});
afterEach(() => {
  vi.unstubAllEnvs();
  folder[Symbol.dispose]();
});

const hub = (content: Buffer) => (q: IncomingMessage, r: ServerResponse) => {
  if (q.url?.startsWith("/datasets/owner/bench/resolve/main/data.zip")) {
    sendFile(q, r, content);
    return;
  }
  const oid = createHash("sha256").update(zip).digest("hex");
  const lfs = { oid, size: zip.length, pointerSize: 1 };
  r.writeHead(200, { "content-type": "application/json" });
  r.end(JSON.stringify([{ path: "data.zip", type: "file", size: zip.length, oid: "x", lfs }]));
};

it("takes the files that are asked for out of the archive, and asks for it once", async () => {
  await using server = await StandInServer.start(hub(zip));
  vi.stubEnv("HF_ENDPOINT", server.url);
  const at = await datasetFolder(archive, files("a"));
  expect(readFileSync(join(at, "a.jsonl"), "utf8")).toBe("first\n");
  expect(server.requests.map(({ authorization }) => authorization)).toEqual([
    ...["Bearer hf_secret", "Bearer hf_secret"],
  ]);
  await datasetFolder(archive, files("a", "b"));
  expect(readFileSync(join(at, "b.jsonl"), "utf8")).toBe("second\n");
  expect(server.requests).toHaveLength(2);
});

it("gives the path of a file, fetched once", async () => {
  await using server = await StandInServer.start(hub(zip));
  vi.stubEnv("HF_ENDPOINT", server.url);
  const path = await datasetFile(archive);
  expect(readFileSync(path)).toEqual(zip);
  expect(await datasetFile(archive)).toBe(path);
  expect(server.requests).toHaveLength(2);
});

it("says what is wrong with the archive, or that the hub is out of reach", async () => {
  await using server = await StandInServer.start(hub(zip));
  vi.stubEnv("HF_ENDPOINT", server.url);
  await expect(datasetFolder(archive, files("c"))).rejects.toThrow("has no data/c.jsonl");
  await using refusing = await StandInServer.start((_, r) => r.writeHead(401).end());
  vi.stubEnv("HF_ENDPOINT", refusing.url);
  vi.stubEnv("PYRAMIDKV_CACHE", join(folder.path, "other"));
  await expect(datasetFolder(archive, files("a"))).rejects.toThrow(/bench answered 401/);
  vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
  await expect(datasetFolder(archive, files("a"))).rejects.toMatchObject({ code: "NETWORK" });
});
