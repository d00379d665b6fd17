/** Streams on a few h2c connections. Node's client costs several times what an HTTP/1.1 link does. */
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { host, pathOf, token, tokenHeader, type LoadScenario } from "../scenarios.ts";
import type { Target } from "./job.ts";
import type { Done, Link } from "./link.ts";

const connections = 5;

export class Http2Sessions {
  readonly #sessions: { session: ClientHttp2Session; ready: Promise<void> }[];
  readonly #headers: OutgoingHttpHeaders;
  readonly #answerBytes: number;
  #opened = 0;

  constructor({ host: address, port }: Target, scenario: LoadScenario) {
    this.#answerBytes = scenario.answerBytes;
    this.#headers = {
      ":path": pathOf(scenario),
      ":authority": host,
      "user-agent": "swell-bench",
      [tokenHeader]: token,
    };
    this.#sessions = Array.from({ length: connections }, () => {
      const session = connect(`http://${address}:${port}`);
      session.on("error", () => undefined); // its streams fail
      const ready = new Promise<void>((resolve) => {
        session.once("connect", () => resolve());
        session.once("close", () => resolve());
      });
      return { session, ready };
    });
  }

  open(done: Done): Link {
    const { session, ready } = this.#sessions[this.#opened++ % connections]!;
    const link: Link = {
      ready,
      send: () => {
        if (session.closed || session.destroyed) {
          setImmediate(() => done(link, false));
          return;
        }
        const stream = session.request(this.#headers);
        let status = 0;
        let bytes = 0;
        stream.on("response", (headers) => (status = headers[":status"] ?? 0));
        stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
        stream.on("error", () => undefined); // "close" follows
        stream.on("close", () => done(link, status === 200 && bytes === this.#answerBytes));
      },
      close: () => session.destroy(),
    };
    return link;
  }
}
