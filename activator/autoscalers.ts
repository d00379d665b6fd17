/**
 * A stream to every autoscaler there is: each knows the pods and decides for the revisions it owns, and all hear of
 * our load, so that whichever takes a revision over knows at once what is held for it. The Service's name may lead to
 * any one of them; that one tells of the others, and the address of its own.
 */
import { createHmac } from "node:crypto";
import type { Autoscalers as Told, RevisionDemand, RevisionKey, RevisionPods } from "../proto/gen/stats.ts";
import type { Logger } from "../process/logger.ts";
import { BackOff, pause } from "../kube/back-off.ts";
import { openAutoscalerStream, type AutoscalerStream } from "./autoscaler-stream.ts";
import type { ConcurrencyReporter, ReportedLoad } from "./concurrency-reporter.ts";

const lookupPeriodMs = 10_000;
/** A revision without requests for this long is no longer listened to. */
const subscriptionIdleMs = 10 * 60_000;

export interface AutoscalersOptions {
  /** Every address of the autoscaler Service. */
  resolve: () => Promise<string[]>;
  port: number;
  pod: string;
  /** The key that signs tokens, undefined while it is unknown. */
  key: () => Buffer | undefined;
  reporter: ConcurrencyReporter;
  /** `stream` names the connection. */
  onPods: (stream: string, pods: readonly RevisionPods[]) => void;
  onDemands: (stream: string, demands: readonly RevisionDemand[]) => void;
  onStreamEnded: (stream: string) => void;
  log: Logger;
}

interface Connection {
  /** Of the autoscaler, once it is known; until then what was dialled. */
  address: string;
  stream: AutoscalerStream | undefined;
  up: boolean;
  acknowledgedVersion: number;
}

export class Autoscalers {
  readonly #options: AutoscalersOptions;
  readonly #epoch = Date.now();
  /** By address; also while it waits to connect again. */
  readonly #connections = new Map<string, Connection>();
  /** What was told last. */
  #others: readonly string[] = [];
  /** Addresses of the Service, and whom they led to. */
  readonly #leadsTo = new Map<string, string>();
  readonly #backOffs = new Map<string, BackOff>();
  readonly #subscribed = new Map<string, { key: RevisionKey; usedMs: number }>();
  #streams = 0;
  #wake = new AbortController();
  #everUp = false;
  #errors = 0;

  constructor(options: AutoscalersOptions) {
    this.#options = options;
  }

  /** Some autoscaler takes our reports. */
  get reachable(): boolean {
    for (const { up } of this.#connections.values()) if (up) return true;
    return false;
  }

  get everReachable(): boolean {
    return this.#everUp;
  }

  /** Streams that ended. */
  get errors(): number {
    return this.#errors;
  }

  /** Reports these to all, now. */
  report(loads: ReportedLoad[]): void {
    for (const { stream } of this.#connections.values()) stream?.reportOnly(loads);
  }

  /** Hears of the revision's pods from now on, until it has not been used for long. */
  use(namespace: string, name: string, nowMs: number): void {
    const id = `${namespace}/${name}`;
    const known = this.#subscribed.get(id);
    if (known !== undefined) {
      known.usedMs = nowMs;
      return;
    }
    const key = { namespace, name };
    this.#subscribed.set(id, { key, usedMs: nowMs });
    for (const { stream } of this.#connections.values()) stream?.subscribe({ add: [key] });
  }

  /** The secret is there, or another. */
  keyChanged(): void {
    this.#lookAgain();
  }

  /** Keeps the streams until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { resolve, log } = this.#options;
    const lookups = new BackOff({ firstMs: 100, maxMs: 5000 });
    const connections = new Set<Promise<void>>();
    signal.addEventListener("abort", () => this.#lookAgain(), { once: true });
    while (!signal.aborted) {
      this.#wake = new AbortController();
      let waitMs = lookupPeriodMs;
      const key = this.#options.key();
      if (key !== undefined) {
        try {
          for (const address of new Set([...(await resolve()), ...this.#others])) {
            if (this.#connections.has(address) || this.#connections.has(this.#leadsTo.get(address) ?? "")) continue;
            const connection = this.#connect(address, key, signal);
            connections.add(connection);
            void connection.finally(() => connections.delete(connection));
          }
          lookups.reset();
        } catch (error) {
          log.debug({ err: error }, "the autoscaler's address cannot be found");
          waitMs = lookups.nextMs();
        }
      }
      this.#expireSubscriptions(performance.now());
      await pause(waitMs, this.#wake.signal);
    }
    await Promise.all(connections);
  }

  /** One connection from its opening to its end and the pause after it. */
  async #connect(address: string, key: Buffer, signal: AbortSignal): Promise<void> {
    const { port, pod, reporter, log, onPods, onDemands, onStreamEnded } = this.#options;
    const connection: Connection = { address, stream: undefined, up: false, acknowledgedVersion: 0 };
    this.#connections.set(address, connection);
    this.#streams += 1;
    const id = `${address}#${this.#streams}`;
    const backOff = this.#backOffs.get(address) ?? new BackOff({ firstMs: 50, maxMs: 1000 });
    this.#backOffs.set(address, backOff);
    const stream = openAutoscalerStream({
      host: address,
      port,
      hello: { pod, token: createHmac("sha256", key).update("activator").digest("base64url"), epoch: this.#epoch },
      reporter,
      subscribed: () => [...this.#subscribed.values()].map(({ key }) => key),
      onPods: (pods) => onPods(id, pods),
      onDemands: (demands) => onDemands(id, demands),
      onAutoscalers: (told) => this.#hear(connection, address, told),
      onUp: () => {
        connection.up = true;
        this.#everUp = true;
        backOff.reset();
        log.info({ autoscaler: address }, "the autoscaler takes reports");
      },
      onAcknowledged: (version) => {
        connection.acknowledgedVersion = version;
        reporter.acknowledged(this.#acknowledgedByAll());
      },
    });
    connection.stream = stream;
    const close = (): void => stream.close();
    signal.addEventListener("abort", close, { once: true });
    const reason = await stream.ended;
    signal.removeEventListener("abort", close);
    connection.stream = undefined;
    onStreamEnded(id);
    const isSpare = this.#connections.get(connection.address) !== connection;
    if (!signal.aborted && !isSpare) {
      this.#errors += 1;
      const level = connection.up ? "warn" : "debug";
      log[level]({ err: reason, autoscaler: address }, "the stream to the autoscaler ended");
    }
    connection.up = false;
    if (isSpare) return;
    await pause(backOff.nextMs(), signal);
    this.#connections.delete(connection.address);
    this.#lookAgain();
  }

  /** An autoscaler said who it is, and who else there is. */
  #hear(connection: Connection, dialled: string, { self, all }: Told): void {
    if (self !== connection.address) {
      this.#connections.delete(connection.address);
      this.#leadsTo.set(dialled, self);
      connection.address = self;
      // It is connected already: one stream is enough.
      if (this.#connections.has(self)) connection.stream?.close();
      else this.#connections.set(self, connection);
    }
    this.#others = all;
    if (all.some((address) => !this.#connections.has(address))) this.#lookAgain();
  }

  /** Only those that are up count: one that comes back starts again from the cumulative counters. */
  #acknowledgedByAll(): number {
    const up = [...this.#connections.values()].filter((connection) => connection.up);
    return Math.min(...up.map(({ acknowledgedVersion }) => acknowledgedVersion));
  }

  #lookAgain(): void {
    this.#wake.abort();
  }

  #expireSubscriptions(nowMs: number): void {
    const remove: RevisionKey[] = [];
    for (const [id, { key, usedMs }] of this.#subscribed) {
      if (nowMs - usedMs < subscriptionIdleMs) continue;
      this.#subscribed.delete(id);
      remove.push(key);
    }
    if (remove.length === 0) return;
    for (const { stream } of this.#connections.values()) stream?.subscribe({ remove });
  }
}
