import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A server on this machine that stands in for the hub or the package index. */
export class StandInServer implements AsyncDisposable {
  readonly requests: { url: string; range?: string; authorization?: string }[] = [];
  readonly #server;

  private constructor(handle: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#server = createServer((request, response) => {
      const { range, authorization } = request.headers;
      this.requests.push({
        url: request.url ?? "",
        ...(range === undefined ? {} : { range }),
        ...(authorization === undefined ? {} : { authorization }),
      });
      handle(request, response);
    });
  }

  static async start(
    handle: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<StandInServer> {
    const server = new StandInServer(handle);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Answers with `content`, honouring a range as real file servers do. */
export function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
): void {
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? NaN);
  if (Number.isNaN(from)) {
    response.writeHead(200, { "content-length": content.length }).end(content);
    return;
  }
  response
    .writeHead(206, {
      "content-length": content.length - from,
      "content-range": `bytes ${from}-${content.length - 1}/${content.length}`,
    })
    .end(content.subarray(from));
}
