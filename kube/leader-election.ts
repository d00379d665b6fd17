/**
 * One leader among many processes, by a Lease. A dead leader's lease is taken over at once when its death can be
 * seen (it was a former life of this pod, its pod is gone, or its port refuses); only a leader that hangs, or whose
 * node vanished, is waited for. A program that leads in several parts campaigns for a lease per part.
 */
import { leases, pods, type Lease, type Pod } from "../api/core.ts";
import type { Logger } from "../process/logger.ts";
import { pause } from "./back-off.ts";
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from "./client.ts";
import type { Informer } from "./informer.ts";

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
  /** Read again for each renewal. */
  readonly settings: LeaderElectionSettings;
  log: Logger;
  /**
   * The signal aborts when the lease is lost; its reason is then "lost", and "released" at stop, when the lease is
   * given back once the promise has settled. `term`: the Lease as it was taken, one transition above the last term's.
   */
  onLead: (signal: AbortSignal, term: Lease) => void | Promise<void>;
  /** Where the lease is read from while another holds it. Without it the API server is asked each retry period. */
  leases?: Informer<Lease>;
  /** Who else knows that a holder is dead. */
  deaths?: Deaths;
  /** A lease that is found free is left to others for this long: asked each time. Default 0. */
  handicapMs?: () => number;
}

export interface Deaths {
  isDead(holder: string): boolean;
  /** Calls back whenever somebody was found dead; returns what ends it. */
  onDeath(listener: () => void): () => void;
}

/** What is known of another holder; time is counted from when we saw a renewal, not from clocks that may differ. */
interface Seen {
  holder: string;
  renewTime: string;
  sinceMs: number;
  /** Nothing was known before. */
  first: boolean;
}

/** Campaigns, leads and campaigns again until the signal aborts; then releases. Never rejects. */
export async function lead(options: LeaderElectionOptions, signal: AbortSignal): Promise<void> {
  const log = options.log.child({ lease: options.lease });
  while (!signal.aborted) {
    const held = await campaign(options, log, signal);
    if (held === undefined) return;
    log.info({ identity: options.identity }, "leading");
    const over = new AbortController();
    const work = (async () => options.onLead(over.signal, held))().catch((error: unknown) =>
      log.error({ err: error }, "the leader's work failed"),
    );
    const last = await renew(options, held, log, signal);
    over.abort(last === undefined ? "lost" : "released");
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
  /** The version of a free lease that was left to others long enough. */
  let left: string | undefined;
  const note = (lease: Lease | undefined): void => {
    const holder = lease?.spec?.holderIdentity ?? "";
    const renewTime = lease?.spec?.renewTime ?? "";
    if (seen?.holder !== holder || seen.renewTime !== renewTime)
      seen = { holder, renewTime, sinceMs: performance.now(), first: seen === undefined };
  };
  // Each renewal counts from when it was heard of, not from our next look.
  const unwatch = options.leases?.onChange(({ is, object }) => {
    if (isThis(options, object) && is !== "deleted") note(object);
  });
  try {
    while (!signal.aborted) {
      try {
        const lease = await look(options);
        const nowMs = performance.now();
        note(lease);
        const waitMs = lease === undefined ? 0 : await occupiedMs(options, lease, seen!, nowMs);
        if (waitMs > 0) {
          await changedOrLater(options, lease, waitMs, signal);
          continue;
        }
        const version = lease?.metadata.resourceVersion ?? "";
        // Whose lease has run out hangs or is cut off, and was waited for long enough.
        const ranOut =
          lease !== undefined && seen!.holder !== "" && seen!.sinceMs + durationMsOf(options, lease) <= nowMs;
        const handicapMs = ranOut ? 0 : (options.handicapMs?.() ?? 0);
        if (handicapMs <= 0 || left === version)
          return lease === undefined
            ? await client.create(leases, claim(options, undefined))
            : await client.update(leases, claim(options, lease, "take"));
        left = version;
        await changedOrLater(options, lease, handicapMs, signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        // Another candidate was quicker, or the server is away: look again.
        if (!isConflict(error) && !isAlreadyExists(error)) log.debug({ err: error }, "cannot campaign");
        await pause(settings.retryPeriodMs * (0.25 + 0.5 * Math.random()), signal);
      }
    }
    return undefined;
  } finally {
    unwatch?.();
  }
}

/** As its holder wants it. */
const durationMsOf = ({ settings }: LeaderElectionOptions, { spec }: Lease): number =>
  (spec?.leaseDurationSeconds ?? 0) * 1000 || settings.leaseDurationMs;

/** How long the lease is surely not free, 0 when it is. */
async function occupiedMs(options: LeaderElectionOptions, lease: Lease, seen: Seen, nowMs: number): Promise<number> {
  const { settings } = options;
  const expiresInMs = seen.sinceMs + durationMsOf(options, lease) - nowMs;
  if (expiresInMs <= 0) return 0;
  // Who has just renewed is alive; the API server need not be asked.
  const overdue = nowMs - seen.sinceMs > settings.retryPeriodMs * 1.5;
  const mayAsk = options.leases === undefined || seen.first || overdue;
  if (await isFree(options, seen.holder, mayAsk)) return 0;
  return Math.min(expiresInMs, settings.retryPeriodMs * (0.9 + 0.2 * Math.random()));
}

/** Renews until stopped (resolves with the lease as it stands) or lost (undefined). */
async function renew(
  options: LeaderElectionOptions,
  first: Lease,
  log: Logger,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const { client, identity } = options;
  let lease = first;
  let renewedMs = performance.now();
  let waitMs = options.settings.retryPeriodMs;
  for (;;) {
    await pause(waitMs, signal);
    if (signal.aborted) return lease;
    // They may have changed.
    const { settings } = options;
    try {
      const attemptMs = performance.now();
      lease = await within(
        settings.renewDeadlineMs - (attemptMs - renewedMs),
        client.update(leases, claim(options, lease, "renew")),
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

/** The newest state that is known here, as good as the server's: a stale one is refused when it is written. */
const look = async (options: LeaderElectionOptions): Promise<Lease | undefined> =>
  options.leases === undefined ? read(options) : options.leases.get(`${options.namespace}/${options.lease}`);

const isThis = ({ lease, namespace }: LeaderElectionOptions, { metadata }: Lease): boolean =>
  metadata.name === lease && metadata.namespace === namespace;

async function read({ client, lease, namespace }: LeaderElectionOptions): Promise<Lease | undefined> {
  try {
    return await client.get<Lease>(leases, lease, namespace);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Whether the holder cannot be leading any more, whatever its lease says. */
async function isFree(
  { client, namespace, identity, deaths }: LeaderElectionOptions,
  holder: string,
  mayAsk: boolean,
): Promise<boolean> {
  if (holder === "" || holder === identity) return true;
  const pod = podOf(holder);
  if (pod === podOf(identity) && pod !== "") return true;
  if (deaths?.isDead(holder) === true) return true;
  if (pod === "" || !mayAsk) return false;
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

/** Waits until somebody writes the lease other than to renew it, somebody was found dead, or the time is over. */
async function changedOrLater(
  options: LeaderElectionOptions,
  lease: Lease | undefined,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const holder = lease?.spec?.holderIdentity;
  const undeath = options.deaths?.onDeath(() => over.abort());
  const unwatch =
    options.leases === undefined
      ? watchLease(options, lease, ms, either, () => over.abort())
      : options.leases.onChange(({ is, object }) => {
          if (isThis(options, object) && (is === "deleted" || object.spec?.holderIdentity !== holder)) over.abort();
        });
  await pause(ms, either);
  over.abort();
  undeath?.();
  unwatch();
}

/** Calls back when the lease has another holder or is gone; ends with the signal. */
function watchLease(
  { client, namespace, lease: name }: LeaderElectionOptions,
  lease: Lease | undefined,
  ms: number,
  signal: AbortSignal,
  onChange: () => void,
): () => void {
  const watching = (async () => {
    const events = client.watch<Lease>(leases, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      resourceVersion: lease?.metadata.resourceVersion ?? "",
      timeoutSeconds: Math.max(1, Math.ceil(ms / 1000)),
      signal,
    });
    for await (const event of events) {
      if (event.type === "DELETED") return onChange();
      if (event.type === "MODIFIED" && event.object.spec?.holderIdentity !== lease?.spec?.holderIdentity)
        return onChange();
    }
  })();
  // Without a watch the time decides.
  watching.catch(() => undefined);
  return () => undefined;
}

/** `take`: a new term, also when the last holder was called as we are. */
function claim(
  { lease: name, namespace, identity, settings }: LeaderElectionOptions,
  found: Lease | undefined,
  how: "take" | "renew" = "take",
): Lease {
  const now = microTime();
  const keeps = how === "renew" && found?.spec?.holderIdentity === identity;
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
