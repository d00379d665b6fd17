/**
 * The WebSocket to an autoscaler that takes no stream (data-plane 2.8). It is tried when no stream of ours is up for a
 * while, kept open by pings, and opened again whenever it ends.
 */
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { BackOff, pause } from "../kube/back-off.ts";
import type { Logger } from "../process/logger.ts";
import type { WireStatMessage } from "../proto/gen/upstream-stat.ts";
import type { ConcurrencyReporter, ReportedLoad } from "./concurrency-reporter.ts";
import { encoded, UpstreamStats } from "./upstream-stats.ts";

/** `auto`: only when there is no stream. */
export type UpstreamMode = "auto" | "always" | "never";

export interface UpstreamConnectionOptions {
  mode: UpstreamMode;
  /** Of the Service; the Host header. */
  host: string;
  port: number;
  /** Every address of the Service. */
  resolve: () => Promise<string[]>;
  /** A stream to an autoscaler of ours is up. */
  streams: () => boolean;
  reporter: ConcurrencyReporter;
  pod: string;
  /** The reporter's clock. */
  nowMs: () => number;
  log: Logger;
}

const periodMs = 1000;
/** An autoscaler of ours that starts anew has its streams again by then. */
const streamlessMs = 3000;
const handshakeMs = 3000;
const pingMs = 3330;
const deadMs = 10_000;
/** To an autoscaler of ours there will be a stream; one that is still missing then cannot be had. */
const ownMs = 15_000;
/** What an autoscaler that does not read may make us keep. */
const mostUnsentBytes = 4 * 1024 * 1024;
/** How our autoscalers say that they take streams. */
const streamHeader = "swell-stats";

export class UpstreamConnection {
  readonly #options: UpstreamConnectionOptions;
  #socket: WebSocket | undefined;
  #stats: UpstreamStats | undefined;
  #everReachable = false;
  #errors = 0;

  constructor(options: UpstreamConnectionOptions) {
    this.#options = options;
  }

  get reachable(): boolean {
    return this.#socket !== undefined;
  }

  get everReachable(): boolean {
    return this.#everReachable;
  }

  /** Connections that ended. */
  get errors(): number {
    return this.#errors;
  }

  /** Sends at once what cannot wait for the second's end. */
  urgent(loads: readonly ReportedLoad[]): void {
    if (this.#stats !== undefined) this.#send(this.#stats.urgent(loads, this.#options.nowMs()));
  }

  /** Keeps the connection, where it is wanted, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { mode, streams, log } = this.#options;
    if (mode === "never") return;
    const backOff = new BackOff({ firstMs: 100, maxMs: 5000 });
    let streamlessSinceMs = performance.now();
    while (!signal.aborted) {
      if (mode === "auto") {
        if (streams()) streamlessSinceMs = performance.now();
        const waitMs = streamlessSinceMs + streamlessMs - performance.now();
        if (waitMs > 0) {
          await pause(Math.max(waitMs, periodMs), signal);
          continue;
        }
      }
      try {
        await this.#connected(signal, streamlessSinceMs, () => backOff.reset());
      } catch (error) {
        if (signal.aborted) break;
        const own = error instanceof OwnAutoscalerError;
        if (!own) this.#errors += 1;
        log[own || backOff.failures > 0 ? "debug" : "warn"]({ err: error }, "no WebSocket to an autoscaler");
        await pause(own ? streamlessMs : backOff.nextMs(), signal);
      }
    }
  }

  /** One connection; resolves when it is not wanted any more, rejects when it fails. */
  async #connected(signal: AbortSignal, streamlessSinceMs: number, onUp: () => void): Promise<void> {
    const { resolve, host, port, reporter, pod, nowMs, log, mode, streams } = this.#options;
    const addresses = await resolve();
    const address = addresses[Math.floor(Math.random() * addresses.length)]!;
    const socket = new WebSocket(`ws://${address.includes(":") ? `[${address}]` : address}:${port}`, {
      headers: { host: `${host}:${port}` },
      handshakeTimeout: handshakeMs,
      perMessageDeflate: false,
      // Nothing is expected but control frames.
      maxPayload: 64 * 1024,
    });
    const ended = Promise.withResolvers<void>();
    let over = false;
    const end = (error?: Error): void => {
      over = true;
      if (error === undefined) ended.resolve();
      else ended.reject(error);
    };
    const onAbort = (): void => end();
    signal.addEventListener("abort", onAbort, { once: true });
    let seenMs = performance.now();
    let pingedMs = seenMs;
    const second = (): void => {
      if (this.#socket !== socket) return;
      const now = performance.now();
      if (mode === "auto" && streams()) return end();
      if (now - seenMs > deadMs) return end(new Error(`the autoscaler answered no ping for ${deadMs} ms`));
      if (now - pingedMs >= pingMs - periodMs / 2) {
        pingedMs = now;
        socket.ping();
      }
      if (this.#stats !== undefined) this.#send(this.#stats.cut(nowMs()));
    };
    const timer = setInterval(second, periodMs);
    socket.on("upgrade", ({ headers }: IncomingMessage) => {
      const early = performance.now() - streamlessSinceMs < ownMs;
      if (mode === "auto" && early && headers[streamHeader] !== undefined) end(new OwnAutoscalerError());
    });
    socket.on("open", () => {
      if (over) return;
      this.#socket = socket;
      // What was counted before is lost, as it is with Knative's; what is in flight is told.
      this.#stats = new UpstreamStats({ reporter, pod, nowMs: nowMs() });
      this.#everReachable = true;
      seenMs = performance.now();
      onUp();
      log.info({ autoscaler: address }, "an autoscaler takes reports over a WebSocket");
      this.#send(this.#stats.present());
    });
    socket.on("pong", () => (seenMs = performance.now()));
    socket.on("error", end);
    socket.on("close", (code, reason) =>
      end(new Error(`the autoscaler closed the WebSocket: ${code} ${reason.toString()}`.trimEnd())),
    );
    try {
      await ended.promise;
    } finally {
      clearInterval(timer);
      signal.removeEventListener("abort", onAbort);
      this.#socket = undefined;
      this.#stats = undefined;
      socket.terminate();
    }
  }

  #send(messages: WireStatMessage[]): void {
    if (messages.length === 0 || this.#socket === undefined || this.#socket.bufferedAmount > mostUnsentBytes) return;
    this.#socket.send(encoded(messages), { binary: true });
  }
}

/** An autoscaler of ours, which is to be streamed to. */
class OwnAutoscalerError extends Error {
  override readonly name = "OwnAutoscalerError";

  constructor() {
    super("the autoscaler takes streams");
  }
}
