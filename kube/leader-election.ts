/**
 * One leader among many processes, by a Lease. A dead leader's lease is taken over at once when its death can be
 * seen (it was a former life of this pod, or its pod is gone); only a leader that hangs, or whose node vanished, is
 * waited for.
 */
import { leases, pods, type Lease, type Pod } from "../api/core.ts";
import type { Logger } from "../process/logger.ts";
import { pause } from "./back-off.ts";
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from "./client.ts";

export interface LeaderElectionSettings {
  /** A lease that was not renewed for this long is free. */
  leaseDurationMs: number;
  /** A leader that could not renew for this long steps down. Less than the lease's duration. */
  renewDeadlineMs: number;
  /** Between renewals, and between a candidate's looks at the holder. */
  retryPeriodMs: number;
}

export interface LeaderElectionOptions {
  client: KubeClient;
  /** Name of the Lease. */
  lease: string;
  namespace: string;
  /** `<pod>_<uuid>`. */
  identity: string;
  settings: LeaderElectionSettings;
  log: Logger;
  /** The signal aborts when the lease is lost. At stop the lease is released only when the promise has settled. */
  onLead: (signal: AbortSignal) => void | Promise<void>;
}

/** What is known of another holder; time is counted from when we saw a renewal, not from clocks that may differ. */
interface Seen {
  holder: string;
  renewTime: string;
  sinceMs: number;
}

/** Campaigns, leads and campaigns again until the signal aborts; then releases. Never rejects. */
export async function lead(options: LeaderElectionOptions, signal: AbortSignal): Promise<void> {
  const log = options.log.child({ lease: options.lease });
  while (!signal.aborted) {
    const held = await campaign(options, log, signal);
    if (held === undefined) return;
    log.info({ identity: options.identity }, "leading");
    const lost = new AbortController();
    const work = (async () => options.onLead(lost.signal))().catch((error: unknown) =>
      log.error({ err: error }, "the leader's work failed"),
    );
    const last = await renew(options, held, log, signal);
    lost.abort();
    if (last === undefined) {
      log.warn("the lease is lost");
      continue;
    }
    await within(options.settings.renewDeadlineMs, work).catch(() => log.warn("the leader's work does not end"));
    await release(options, last, log);
  }
}

/** Resolves with the lease once it is ours, undefined when stopped first. */
async function campaign(options: LeaderElectionOptions, log: Logger, signal: AbortSignal): Promise<Lease | undefined> {
  const { client, settings } = options;
  let seen: Seen | undefined;
  while (!signal.aborted) {
    try {
      const lease = await read(options);
      const nowMs = performance.now();
      if (lease === undefined) return await client.create(leases, claim(options, undefined));
      const holder = lease.spec?.holderIdentity ?? "";
      const renewTime = lease.spec?.renewTime ?? "";
      if (seen?.holder !== holder || seen.renewTime !== renewTime) seen = { holder, renewTime, sinceMs: nowMs };
      const durationMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1000 || settings.leaseDurationMs;
      const expiresInMs = seen.sinceMs + durationMs - nowMs;
      if (expiresInMs <= 0 || (await isFree(options, holder)))
        return await client.update(leases, claim(options, lease));
      const waitMs = Math.min(expiresInMs, settings.retryPeriodMs * (0.9 + 0.2 * Math.random()));
      await changedOrLater(options, lease, waitMs, signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      // Another candidate was quicker, or the server is away: look again.
      if (!isConflict(error) && !isAlreadyExists(error)) log.debug({ err: error }, "cannot campaign");
      await pause(settings.retryPeriodMs * (0.25 + 0.5 * Math.random()), signal);
    }
  }
  return undefined;
}

/** Renews until stopped (resolves with the lease as it stands) or lost (undefined). */
async function renew(
  options: LeaderElectionOptions,
  first: Lease,
  log: Logger,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const { client, settings, identity } = options;
  let lease = first;
  let renewedMs = performance.now();
  let waitMs = settings.retryPeriodMs;
  for (;;) {
    await pause(waitMs, signal);
    if (signal.aborted) return lease;
    try {
      const attemptMs = performance.now();
      lease = await within(
        settings.renewDeadlineMs - (attemptMs - renewedMs),
        client.update(leases, claim(options, lease)),
      );
      renewedMs = attemptMs;
      waitMs = settings.retryPeriodMs;
    } catch (error) {
      log.debug({ err: error }, "cannot renew the lease");
      if (isConflict(error) || isNotFound(error)) {
        const current = await within(settings.renewDeadlineMs, read(options)).catch(() => lease);
        if (current?.spec?.holderIdentity !== identity) return undefined;
        lease = current;
      }
      const leftMs = renewedMs + settings.renewDeadlineMs - performance.now();
      if (leftMs <= 0) return undefined;
      waitMs = Math.min(leftMs, (settings.retryPeriodMs / 4) * (0.5 + Math.random()));
    }
  }
}

async function release(options: LeaderElectionOptions, lease: Lease, log: Logger): Promise<void> {
  const free: Lease = {
    ...lease,
    spec: { ...lease.spec, holderIdentity: "", leaseDurationSeconds: 1, renewTime: microTime() },
  };
  try {
    await within(5000, options.client.update(leases, free));
  } catch (error) {
    // It expires by itself.
    log.debug({ err: error }, "cannot release the lease");
  }
}

async function read({ client, lease, namespace }: LeaderElectionOptions): Promise<Lease | undefined> {
  try {
    return await client.get<Lease>(leases, lease, namespace);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Whether the holder cannot be leading any more, whatever its lease says. */
async function isFree({ client, namespace, identity }: LeaderElectionOptions, holder: string): Promise<boolean> {
  if (holder === "" || holder === identity) return true;
  const pod = podOf(holder);
  if (pod === "") return false;
  if (pod === podOf(identity)) return true;
  try {
    const { status } = await client.get<Pod>(pods, pod, namespace);
    return status?.phase === "Failed" || status?.phase === "Succeeded";
  } catch (error) {
    if (isNotFound(error)) return true;
    // Not allowed to look, or the server is away: the duration decides.
    return false;
  }
}

/** "" when the identity names no pod. */
const podOf = (identity: string): string => identity.slice(0, Math.max(0, identity.lastIndexOf("_")));

/** Waits until somebody writes the lease other than to renew it, or the time is over. */
async function changedOrLater(
  { client, namespace, lease: name }: LeaderElectionOptions,
  lease: Lease,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const watching = (async () => {
    try {
      const events = client.watch<Lease>(leases, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        resourceVersion: lease.metadata.resourceVersion ?? "",
        timeoutSeconds: Math.max(1, Math.ceil(ms / 1000)),
        signal: either,
      });
      for await (const event of events) {
        if (event.type === "DELETED") break;
        if (event.type === "MODIFIED" && event.object.spec?.holderIdentity !== lease.spec?.holderIdentity) break;
      }
      over.abort();
    } catch {
      // Without a watch the time decides.
    }
  })();
  await pause(ms, either);
  over.abort();
  await watching;
}

function claim({ lease: name, namespace, identity, settings }: LeaderElectionOptions, found: Lease | undefined): Lease {
  const now = microTime();
  const keeps = found?.spec?.holderIdentity === identity;
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: found?.metadata ?? { name, namespace },
    spec: {
      ...found?.spec,
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.ceil(settings.leaseDurationMs / 1000)),
      acquireTime: keeps ? (found.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: found === undefined ? 0 : (found.spec?.leaseTransitions ?? 0) + (keeps ? 0 : 1),
    },
  };
}

/** Kubernetes' MicroTime: RFC 3339 with six decimals. */
const microTime = (): string => new Date().toISOString().replace("Z", "000Z");

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(ms)} ms`)), Math.max(0, ms));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
