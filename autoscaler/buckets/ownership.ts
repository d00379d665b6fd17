/**
 * Holds this autoscaler's part of the buckets: campaigns for each bucket's Lease, gives surplus ones away, and knows
 * who owns the others. The holder of a Lease is `<pod>_<ip>` (spec: autoscaling 6.1), so that the leases alone tell
 * everybody where a revision is decided for.
 */
import { isIP } from "node:net";
import type { Endpoints, Lease } from "../../api/core.ts";
import { pause } from "../../kube/back-off.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { Informer } from "../../kube/informer.ts";
import { lead, type LeaderElectionSettings } from "../../kube/leader-election.ts";
import type { Logger } from "../../process/logger.ts";
import { isBucketName } from "./bucket.ts";
import type { Peers } from "./peers.ts";
import { handicapMs, surplusBucket, type ShareView } from "./shares.ts";

export interface OwnershipOptions {
  client: KubeClient;
  namespace: string;
  pod: string;
  /** Of this autoscaler's pod. */
  ip: string;
  buckets: readonly string[];
  settings: LeaderElectionSettings;
  /** Of the system namespace. */
  leases: Informer<Lease>;
  /** The Service that all autoscalers are behind: its ready addresses are the members. */
  endpoints: Informer<Endpoints>;
  peers: Peers;
  /** Runs while the bucket is ours; the bucket goes to another when it has settled. See `LeaderElectionOptions.onLead`. */
  onOwn: (bucket: string, over: AbortSignal, term: Lease) => Promise<void>;
  /** Owners or members have changed. */
  onChange: () => void;
  log: Logger;
}

export interface Ownership {
  /** Address of the autoscaler that holds the bucket's lease, undefined while nobody who lives does. */
  ownerOf(bucket: string): string | undefined;
  /** Addresses of all autoscalers that live, this one first. */
  members(): string[];
  /** Campaigns until the signal aborts and every bucket was given back. */
  run(signal: AbortSignal): Promise<void>;
}

/** Counts that are uneven for so long are evened out, one bucket at a time: pods that come up settle first. */
const settleMs = 2000;
/** While nobody is there who could take over, a lease is renewed so many times more rarely: each renewal is a write. */
const aloneFactor = 4;

export function createOwnership(options: OwnershipOptions): Ownership {
  const { namespace, ip, buckets, leases, endpoints, peers, log } = options;
  /** What would have each bucket that we hold given back. */
  const held = new Map<string, AbortController>();
  let balancing: NodeJS.Timeout | undefined;
  /** Buckets that were given away and that nobody took, since counts were last even. */
  let refused = 0;
  let stopped = false;

  const addressOf = (holder: string): string => holder.slice(holder.lastIndexOf("_") + 1);
  const ownerOf = (bucket: string): string | undefined => {
    if (held.has(bucket)) return ip;
    const holder = leases.get(`${namespace}/${bucket}`)?.spec?.holderIdentity ?? "";
    const address = addressOf(holder);
    // Our own address without our holding it: a former life of this pod.
    return address === "" || address === ip || peers.isDead(address) ? undefined : address;
  };
  const members = (): string[] => {
    const found = new Set([ip]);
    for (const { subsets = [] } of endpoints.list())
      for (const { addresses = [] } of subsets)
        for (const address of addresses) if (!peers.isDead(address.ip)) found.add(address.ip);
    return [...found];
  };
  const settings = (): LeaderElectionSettings => {
    if (members().length > 1) return options.settings;
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = options.settings;
    return {
      leaseDurationMs: leaseDurationMs * aloneFactor,
      renewDeadlineMs: renewDeadlineMs * aloneFactor,
      retryPeriodMs: retryPeriodMs * aloneFactor,
    };
  };
  /** Another count of buckets is being replaced by ours, and who decides by it has not ended yet. */
  const isRollout = (): boolean =>
    leases.list().some(({ metadata, spec }) => {
      const name = metadata.name ?? "";
      return isBucketName(name) && !buckets.includes(name) && peers.isAlive(addressOf(spec?.holderIdentity ?? ""));
    });
  const view = (): ShareView => ({
    me: ip,
    // Whom nobody can reach takes nothing.
    members: members().filter((address) => address === ip || peers.isAlive(address)),
    holders: new Map(buckets.map((bucket) => [bucket, ownerOf(bucket)])),
  });

  const look = (): void => {
    if (stopped) return;
    const holders = leases.list().flatMap(({ metadata, spec }) => {
      const address = isBucketName(metadata.name ?? "") ? addressOf(spec?.holderIdentity ?? "") : "";
      return isIP(address) === 0 ? [] : [address];
    });
    const listed = endpoints.list().flatMap(({ subsets = [] }) => subsets.flatMap(({ addresses = [] }) => addresses));
    const all = new Set([...holders, ...listed.map((address) => address.ip)]);
    all.delete(ip);
    peers.watch(all);
    if (surplusBucket(view()) === undefined) {
      clearTimeout(balancing);
      balancing = undefined;
    } else
      // An autoscaler that hangs is no reason to leave a bucket alone again and again.
      balancing ??= setTimeout(
        () => {
          balancing = undefined;
          const surplus = surplusBucket(view());
          if (surplus === undefined) return;
          log.info({ bucket: surplus }, "gives a bucket to an autoscaler with fewer");
          held.get(surplus)?.abort();
        },
        settleMs * 2 ** Math.min(refused, 6),
      );
    options.onChange();
  };

  const hold = async (bucket: string, stop: AbortSignal): Promise<void> => {
    let given = new AbortController();
    let transitions = -1;
    while (!stop.aborted) {
      const wasGiven = given.signal.aborted;
      given = new AbortController();
      const own = given;
      while (isRollout() && !stop.aborted) await pause(options.settings.retryPeriodMs, stop);
      await lead(
        {
          client: options.client,
          lease: bucket,
          namespace,
          identity: `${options.pod}_${ip}`,
          get settings() {
            return settings();
          },
          log,
          leases,
          deaths: {
            isDead: (holder) => peers.isDead(addressOf(holder)),
            onDeath: (listener) => peers.onChange(listener),
          },
          handicapMs: () => handicapMs(view()),
          onLead: async (over, term) => {
            // Since others went first, nobody wanted it.
            if (wasGiven && term.spec?.leaseTransitions === transitions + 1) refused += 1;
            else if (wasGiven) refused = 0;
            transitions = term.spec?.leaseTransitions ?? 0;
            held.set(bucket, own);
            look();
            try {
              await options.onOwn(bucket, over, term);
            } finally {
              held.delete(bucket);
              look();
            }
          },
        },
        AbortSignal.any([stop, given.signal]),
      );
      // It was given away: whoever has fewer takes it meanwhile.
      await pause(options.settings.retryPeriodMs, stop);
    }
  };

  return {
    ownerOf,
    members,
    async run(signal) {
      const unwatch = [leases.onChange(look), endpoints.onChange(look), peers.onChange(look)];
      await Promise.all(buckets.map((bucket) => hold(bucket, signal)));
      stopped = true;
      clearTimeout(balancing);
      for (const end of unwatch) end();
    },
  };
}
