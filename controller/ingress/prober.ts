/** Probes gateway pods in the background until all of them serve a version; a newer version or set replaces it. */
import { isDeepStrictEqual } from "node:util";
import { BackOff, pause } from "../../kube/back-off.ts";
import type { Logger } from "../../process/logger.ts";
import { probeGateway, type ProbeResult, type ProbeTarget } from "./gateway-probe.ts";

/** What is known of a version. `asking`: for so long, and not every target has answered for it. */
export type Answer = { is: "ready" } | { is: "asking"; forMs: number } | { is: "nobody to ask" };

export interface Prober {
  /** Whether every target serves `hash`, as far as is known; starts asking where it is not. */
  ask(key: string, hash: string, targets: readonly ProbeTarget[]): Answer;
  forget(key: string): void;
  stop(): void;
}

interface Campaign {
  hash: string;
  targets: readonly ProbeTarget[];
  isReady: boolean;
  sinceMs: number;
  stop: AbortController;
}

/** The gateways hear of a change about when we do, so the first answers may be old by a moment. */
const firstRetryMs = 10;
const maxRetryMs = 2000;
/** Longer than this without an answer is worth a line in the log. */
const attemptsBeforeWarning = 10;

export function createProber(options: {
  onReady: (key: string) => void;
  log: Logger;
  probe?: (target: ProbeTarget, hash: string, signal: AbortSignal) => Promise<ProbeResult>;
}): Prober {
  const { onReady, log, probe = probeGateway } = options;
  const campaigns = new Map<string, Campaign>();

  async function untilReady(key: string, target: ProbeTarget, campaign: Campaign): Promise<void> {
    const { hash, stop } = campaign;
    const backOff = new BackOff({ firstMs: firstRetryMs, maxMs: maxRetryMs });
    while (!stop.signal.aborted) {
      const result = await probe(target, hash, stop.signal);
      if (result.is === "ready") return;
      if (backOff.failures === attemptsBeforeWarning)
        log.warn(
          { ingress: key, gateway: target.address, host: target.host, why: result.why },
          "a gateway lags behind",
        );
      await pause(backOff.nextMs(), stop.signal);
    }
  }

  async function run(key: string, campaign: Campaign): Promise<void> {
    await Promise.all(campaign.targets.map((target) => untilReady(key, target, campaign)));
    if (campaign.stop.signal.aborted) return;
    campaign.isReady = true;
    onReady(key);
  }

  const forget = (key: string): void => {
    campaigns.get(key)?.stop.abort();
    campaigns.delete(key);
  };

  return {
    ask(key, hash, targets) {
      if (targets.length === 0) {
        forget(key);
        return { is: "nobody to ask" };
      }
      const nowMs = performance.now();
      const current = campaigns.get(key);
      if (current?.hash === hash && isDeepStrictEqual(current.targets, targets))
        return current.isReady ? { is: "ready" } : { is: "asking", forMs: nowMs - current.sinceMs };
      forget(key);
      const campaign: Campaign = { hash, targets, isReady: false, sinceMs: nowMs, stop: new AbortController() };
      campaigns.set(key, campaign);
      run(key, campaign).catch((error: unknown) => log.error({ err: error, ingress: key }, "probing broke"));
      return { is: "asking", forMs: 0 };
    },
    forget,
    stop: () => [...campaigns.keys()].forEach(forget),
  };
}
