/** Holds a request until a pod has room for it, forwards it, and tells the autoscaler of it (data-plane 2.5-2.8). */
import type { Logger } from "../process/logger.ts";
import type { Exchange, Upstream, UpstreamError, UpstreamTls } from "../proxy/exchange.ts";
import { hasBody } from "../proxy/hop-by-hop.ts";
import { limitTime } from "../proxy/timeouts.ts";
import type { ConcurrencyReporter } from "./concurrency-reporter.ts";
import { answerOurError } from "./our-error.ts";
import type { RevisionEntry } from "./revision-directory.ts";
import type { PodSlot, Waiter } from "./throttler.ts";

/** Another pod is tried so often when nothing of the request had reached the one before. */
const maxRepicks = 3;
/** A revision in use is reported as such at most this often. */
const usePeriodMs = 30_000;
/** What a held request costs beside its head: a connection's share and our own objects, measured at 1,000 of them. */
const heldRequestBytes = 8 * 1024;
/** The body is not read while a request is held; this much of it is on its way to us all the same. */
export const heldBodyBytes = 64 * 1024;

export interface ActivationOptions {
  find: (namespace: string, name: string) => RevisionEntry | undefined;
  reporter: ConcurrencyReporter;
  /** A request waits; somebody may have to look for pods. */
  onHeld: (entry: RevisionEntry) => void;
  /** The revision gets requests. */
  onUse: (entry: RevisionEntry, nowMs: number) => void;
  /** The pod at this address could not be dialled. */
  onUndialled: (entry: RevisionEntry, address: string) => void;
  /** What pods of the namespace have to prove at `podTlsPort`; undefined: plain text. */
  tls: (namespace: string) => UpstreamTls | undefined;
  podTlsPort: number;
  /** A request of the revision was taken; for its metrics and log. */
  observe: (exchange: Exchange, entry: RevisionEntry) => void;
  log: Logger;
}

/**
 * Serves one request of a revision.
 *
 * @param protocol what is spoken to the pod: the revision's own, or what the client speaks (another ingress has
 * chosen already)
 */
export type Activate = (
  exchange: Exchange,
  target: { namespace: string; name: string },
  protocol: "revision" | "client",
) => void;

export function activationHandler(options: ActivationOptions): Activate {
  const { find, log } = options;
  const lastUse = new WeakMap<RevisionEntry, number>();

  return function activate(exchange, { namespace, name }, protocol) {
    const { headers } = exchange.head;
    headers.delete("Knative-Serving-Revision");
    headers.delete("Knative-Serving-Namespace");
    const entry = find(namespace, name);
    if (entry === undefined) {
      const problem = `revision.serving.knative.dev "${name}" not found`;
      answerOurError(exchange, "unknown-revision", `Error getting active endpoint: ${problem}`);
      return;
    }
    options.observe(exchange, entry);
    const nowMs = performance.now();
    if (nowMs - (lastUse.get(entry) ?? -Infinity) > usePeriodMs) {
      lastUse.set(entry, nowMs);
      options.onUse(entry, nowMs);
    }
    const request = new HeldRequest(exchange, entry, protocol, options);
    limitTime(exchange, entry.limits, (limit) => {
      // While it is not ours to count, the limits are the pod's queue-proxy's to keep.
      if (!request.waiting && !entry.proxyMode) return;
      log.debug({ revision: `${namespace}/${name}`, limit }, "a request took too long");
      answerOurError(exchange, "timeout");
    });
    request.start();
  };
}

/** One object per request instead of a chain of closures: all that changes while it is held and forwarded. */
class HeldRequest {
  readonly #exchange: Exchange;
  readonly #entry: RevisionEntry;
  readonly #protocol: Upstream["protocol"];
  readonly #options: ActivationOptions;
  /** In the autoscaler's numbers. */
  #counted = false;
  #waiting = false;
  #ended = false;
  /** Where it is forwarded to. */
  #slot: PodSlot | undefined;
  #repicks = 0;

  constructor(exchange: Exchange, entry: RevisionEntry, protocol: "revision" | "client", options: ActivationOptions) {
    this.#exchange = exchange;
    this.#entry = entry;
    this.#options = options;
    if (protocol === "revision") this.#protocol = entry.protocol;
    else this.#protocol = exchange.head.httpVersion === "2.0" ? "h2c" : "http1";
  }

  get waiting(): boolean {
    return this.#waiting;
  }

  start(): void {
    if (this.#entry.proxyMode) this.#count();
    this.#exchange.onEnd(() => this.#end());
    this.#place(this.#entry.throttler.tryAcquire());
  }

  #place(slot: PodSlot | undefined): void {
    if (slot !== undefined) this.#forward(slot);
    else this.#hold();
  }

  #hold(): void {
    const { throttler, stats } = this.#entry;
    if (this.#ended) return;
    const refusal = throttler.enqueue(this.#admit, heldBytes(this.#exchange));
    if (refusal !== undefined) {
      answerOurError(this.#exchange, refusal);
      return;
    }
    this.#count();
    this.#waiting = true;
    this.#options.reporter.hold(stats);
    this.#options.onHeld(this.#entry);
  }

  /** The place is taken already. */
  readonly #admit: Waiter = (slot) => {
    this.#stopWaiting();
    this.#forward(slot);
  };

  #forward(slot: PodSlot): void {
    const { head } = this.#exchange;
    // Set exactly when the request is counted here to its end, so that the pod's count and ours never both hold it.
    if (this.#entry.proxyMode) {
      this.#count();
      head.headers.set("K-Proxy-Request", "activator");
    } else {
      this.#uncount();
      head.headers.delete("K-Proxy-Request");
    }
    if (this.#ended) {
      this.#entry.throttler.release(slot);
      return;
    }
    this.#slot = slot;
    const tls = this.#options.tls(this.#entry.namespace);
    const port = tls === undefined ? slot.port : this.#options.podTlsPort;
    this.#exchange.relay({ host: slot.host, port, protocol: this.#protocol, tls }, (error) => {
      this.#slot = undefined;
      this.#failed(slot, error);
      // Not before: its next place must not be on the pod that has just failed it.
      this.#entry.throttler.release(slot);
    });
  }

  #release(): void {
    const slot = this.#slot;
    this.#slot = undefined;
    if (slot !== undefined) this.#entry.throttler.release(slot);
  }

  #failed(slot: PodSlot, error: UpstreamError): void {
    const { namespace, name, throttler } = this.#entry;
    this.#options.log.debug(
      { err: error, revision: `${namespace}/${name}`, pod: slot.address },
      "a pod gave no answer",
    );
    if (!error.retriable) {
      answerOurError(this.#exchange, "no-answer", error.message);
      return;
    }
    this.#options.onUndialled(this.#entry, slot.address);
    this.#repicks += 1;
    if (this.#repicks > maxRepicks) answerOurError(this.#exchange, "no-answer", error.message);
    // It had its turn: it does not wait behind those who came later.
    else this.#place(throttler.tryAcquire(true));
  }

  #end(): void {
    this.#ended = true;
    this.#release();
    if (this.#waiting) {
      this.#entry.throttler.leave(this.#admit);
      this.#stopWaiting();
    }
    this.#uncount();
  }

  #stopWaiting(): void {
    this.#waiting = false;
    this.#options.reporter.unhold(this.#entry.stats);
  }

  #count(): void {
    if (this.#counted || this.#ended) return;
    this.#counted = true;
    this.#options.reporter.arrived(this.#entry.stats);
  }

  #uncount(): void {
    if (!this.#counted) return;
    this.#counted = false;
    this.#options.reporter.left(this.#entry.stats);
  }
}

function heldBytes({ head }: Exchange): number {
  let bytes = heldRequestBytes + head.target.length;
  for (const part of head.headers.raw()) bytes += part.length;
  // HTTP/2 may send a body without announcing it.
  if (head.httpVersion !== "2.0" && !hasBody(head.headers)) return bytes;
  const length = Number(head.headers.get("content-length") ?? heldBodyBytes);
  return bytes + Math.min(length, heldBodyBytes);
}
