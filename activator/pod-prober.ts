/**
 * Asks pods that nobody vouched for whether they serve (data-plane 2.4). Only while requests wait for them, or while a
 * pod that should serve is in doubt: otherwise the autoscaler's stream and Endpoints say it first.
 */
import { Agent } from "undici";
import { BackOff, pause } from "../kube/back-off.ts";
import { probeHeader, userAgent } from "../proxy/network-probe.ts";
import type { RevisionEntry } from "./revision-directory.ts";

/** Addresses of one revision asked at once. */
const maxParallel = 64;
/** Between probes of a pod in doubt that nobody waits for. */
const calmPeriodMs = 2000;

export interface PodProberOptions {
  timeoutMs: number;
  periodMs: number;
  onPassed: (entry: RevisionEntry, address: string) => void;
}

export interface PodProber {
  /** Goes on until nothing of it is left to ask. */
  want(entry: RevisionEntry): void;
  close(): Promise<void>;
}

export function createPodProber({ timeoutMs, periodMs, onPassed }: PodProberOptions): PodProber {
  const agent = new Agent({ connect: { timeout: timeoutMs }, allowH2: false, keepAliveTimeout: 1000 });
  const running = new Set<RevisionEntry>();
  const stop = new AbortController();

  const passes = async (address: string): Promise<boolean> => {
    try {
      const response = await agent.request({
        origin: `http://${address}`,
        path: "/healthz",
        method: "GET",
        headers: { "user-agent": userAgent.activator, [probeHeader]: "queue" },
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        signal: stop.signal,
      });
      return (await response.body.text()) === "queue" && response.statusCode === 200;
    } catch {
      return false;
    }
  };

  const probe = async (entry: RevisionEntry): Promise<void> => {
    const backOff = new BackOff({ firstMs: periodMs, maxMs: calmPeriodMs });
    while (!stop.signal.aborted) {
      const waited = entry.throttler.waiting > 0;
      if (!waited && !entry.backends.hasSuspects) return;
      const addresses = entry.backends.toProbe().slice(0, maxParallel);
      if (addresses.length === 0) return;
      await Promise.all(
        addresses.map(async (address) => {
          if (await passes(address)) onPassed(entry, address);
        }),
      );
      await pause(waited ? periodMs * (0.9 + 0.2 * Math.random()) : backOff.nextMs(), stop.signal);
    }
  };

  return {
    want(entry) {
      if (running.has(entry) || stop.signal.aborted) return;
      running.add(entry);
      void probe(entry).finally(() => running.delete(entry));
    },
    async close() {
      stop.abort();
      await agent.destroy();
    },
  };
}
