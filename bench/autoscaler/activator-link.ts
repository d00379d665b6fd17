/** An activator, as far as the autoscaler hears of what it holds. */
import { credentials, type ClientDuplexStream } from "@grpc/grpc-js";
import { once } from "node:events";
import { statsToken } from "../../autoscaler/stats-credentials.ts";
import { StatsClient, type ActivatorDirective, type ActivatorReport } from "../../proto/gen/stats.ts";
import { namespace } from "./population.ts";

export class ActivatorLink {
  readonly #client: StatsClient;
  readonly #call: ClientDuplexStream<ActivatorReport, ActivatorDirective>;
  readonly #openedMs = performance.now();
  #sequence = 0;

  private constructor(to: { host: string; port: number }, key: Buffer) {
    this.#client = new StatsClient(`${to.host}:${to.port}`, credentials.createInsecure());
    this.#call = this.#client.activator();
    this.#call.on("error", () => undefined); // the autoscaler is stopped first
    this.#call.on("data", () => undefined);
    const hello = { pod: "activator-bench", token: statsToken(key, "activator"), epoch: 1 };
    this.#call.write({ body: { $case: "hello", value: hello } });
  }

  static async open(to: { host: string; port: number }, key: Buffer): Promise<ActivatorLink> {
    const link = new ActivatorLink(to, key);
    const acknowledged = once(link.#call, "data");
    link.#send([]);
    await acknowledged;
    return link;
  }

  /** `inFlight` requests have just arrived, or all have left. Returns the monotonic clock, in nanoseconds. */
  hold(revision: string, inFlight: number, arrivals: number): bigint {
    const load = {
      clockMs: performance.now() - this.#openedMs,
      requestSeconds: 0,
      proxiedRequestSeconds: 0,
      arrivals,
      proxiedArrivals: 0,
      inFlight,
      proxiedInFlight: 0,
    };
    const atNs = process.hrtime.bigint();
    this.#send([{ revision: { namespace, name: revision }, load }]);
    return atNs;
  }

  close(): void {
    this.#client.close();
  }

  #send(revisions: Extract<ActivatorReport["body"], { $case: "load" }>["value"]["revisions"]): void {
    this.#sequence += 1;
    this.#call.write({ body: { $case: "load", value: { sequence: this.#sequence, revisions } } });
  }
}
