/**
 * What is known of one revision's pods, and which of them can be dialled. Three sources, in order of trust: the
 * autoscaler's stream (the pod's own word, milliseconds old), the Endpoints object (confirms, and is the fallback
 * while no autoscaler answers), and our own probes of addresses that nobody vouched for.
 */
import { PodState } from "../proto/gen/stats.ts";

/** What one stream says of one pod. */
export interface HeardPod {
  /** `ip:port`. */
  address: string;
  pod: string;
  state: PodState;
  /** Its stream to the autoscaler has ended. */
  gone: boolean;
}

interface Facts {
  /** By stream: only the autoscaler that a pod reports to knows it. */
  heard: Map<string, PodState>;
  endpoint: "ready" | "not-ready" | undefined;
  /** It said that it ends; holds until Endpoints drop it, for they are late. */
  draining: boolean;
  /** Somebody's word is in doubt (a dial failed, its stream broke off): a probe decides. */
  suspect: boolean;
  /** Our probe has passed. */
  probed: boolean;
}

export type Verdict = "usable" | "probe" | "unusable";

/**
 * @param needsKubernetesReadiness the revision has probes that only the kubelet runs (exec readiness, startup), so
 * that neither the pod's own word nor our probe is enough
 */
export function verdict(facts: Readonly<Facts>, needsKubernetesReadiness: boolean): Verdict {
  if (facts.draining) return "unusable";
  const states = [...facts.heard.values()];
  const saysReady = states.includes(PodState.READY);
  // STARTING or NOT_READY: its own word against that of Endpoints, which are late.
  if (states.length > 0 && !saysReady) return "unusable";
  const vouched = facts.endpoint === "ready" || (saysReady && !needsKubernetesReadiness);
  if (vouched) return facts.suspect ? "probe" : "usable";
  if (needsKubernetesReadiness || facts.endpoint === undefined) return "unusable";
  return facts.probed ? "usable" : "probe";
}

export class RevisionBackends {
  readonly #facts = new Map<string, Facts>();
  readonly #needsKubernetesReadiness: boolean;

  constructor(options: { needsKubernetesReadiness: boolean }) {
    this.#needsKubernetesReadiness = options.needsKubernetesReadiness;
  }

  /** Sorted addresses that new requests may go to. */
  usable(): string[] {
    return this.#with("usable").sort();
  }

  /** Addresses that a probe could make usable. */
  toProbe(): string[] {
    return this.#with("probe");
  }

  /** Addresses in doubt although somebody vouched for them. */
  get hasSuspects(): boolean {
    for (const facts of this.#facts.values())
      if (facts.suspect && verdict(facts, this.#needsKubernetesReadiness) === "probe") return true;
    return false;
  }

  /** For a look inside. */
  describe(): Record<string, unknown>[] {
    return [...this.#facts].map(([address, facts]) => ({
      address,
      verdict: verdict(facts, this.#needsKubernetesReadiness),
      ...facts,
      heard: Object.fromEntries(facts.heard),
    }));
  }

  /** The whole content of the private Service's Endpoints. */
  setEndpoints(ready: readonly string[], notReady: readonly string[]): void {
    const listed = new Map<string, "ready" | "not-ready">();
    for (const address of notReady) listed.set(address, "not-ready");
    for (const address of ready) listed.set(address, "ready");
    for (const [address, facts] of this.#facts) {
      const now = listed.get(address);
      // It went from ready to not ready: an old probe says nothing any more.
      if (facts.endpoint === "ready" && now === "not-ready") facts.probed = false;
      facts.endpoint = now;
      this.#tidy(address, facts);
    }
    for (const [address, endpoint] of listed) this.#at(address).endpoint = endpoint;
  }

  /** With `complete`, pods that are not listed are unknown to that stream; else only these have changed. */
  hear(stream: string, pods: readonly HeardPod[], complete: boolean): void {
    if (complete) {
      const listed = new Set(pods.map(({ address }) => address));
      for (const [address, facts] of this.#facts) if (!listed.has(address)) this.#forget(stream, address, facts);
    }
    for (const { address, state, gone } of pods) {
      const facts = this.#at(address);
      if (state === PodState.DRAINING) facts.draining = true;
      if (gone) {
        // Gone, or merely cut off from the autoscaler: if Endpoints still list it a probe tells.
        facts.suspect = true;
        facts.probed = false;
        this.#forget(stream, address, facts);
        continue;
      }
      facts.heard.set(stream, state);
      if (state !== PodState.READY) continue;
      facts.draining = false;
      facts.suspect = false;
    }
  }

  /** The stream has ended: what it said no longer counts, except that a pod ends. */
  forgetStream(stream: string): void {
    for (const [address, facts] of this.#facts) this.#forget(stream, address, facts);
  }

  /** A dial failed although the pod should be there. */
  suspect(address: string): void {
    const facts = this.#facts.get(address);
    if (facts === undefined) return;
    facts.suspect = true;
    facts.probed = false;
  }

  /** A probe of the address passed. */
  passed(address: string): void {
    const facts = this.#facts.get(address);
    if (facts === undefined) return;
    facts.suspect = false;
    facts.probed = true;
  }

  #with(wanted: Verdict): string[] {
    const found: string[] = [];
    for (const [address, facts] of this.#facts)
      if (verdict(facts, this.#needsKubernetesReadiness) === wanted) found.push(address);
    return found;
  }

  #at(address: string): Facts {
    let facts = this.#facts.get(address);
    if (facts === undefined) {
      facts = { heard: new Map(), endpoint: undefined, draining: false, suspect: false, probed: false };
      this.#facts.set(address, facts);
    }
    return facts;
  }

  #forget(stream: string, address: string, facts: Facts): void {
    facts.heard.delete(stream);
    this.#tidy(address, facts);
  }

  #tidy(address: string, facts: Facts): void {
    if (facts.heard.size === 0 && facts.endpoint === undefined) this.#facts.delete(address);
  }
}
