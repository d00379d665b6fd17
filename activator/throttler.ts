/**
 * Holds a revision's requests until one of its pods has room, in order of arrival. Capacity is not a number beside the
 * pods: a request is admitted by taking a place on a pod, so the two cannot disagree.
 */
import { betterOfTwo, firstAvailable, roundRobin } from "./pod-picker.ts";

/** A place to send requests to. Lives as long as it has requests, also when it is no longer among the pods. */
export interface PodSlot {
  /** `ip:port`, IPv6 in brackets. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  inFlight: number;
  /** This activator's places on the pod, when others have some too. */
  limit: number | undefined;
  /** Gets new requests. */
  current: boolean;
}

/** Called with the place already taken. */
export type Waiter = (slot: PodSlot) => void;

/** Why a request cannot be held. */
export type Refusal = "queue-full" | "memory-full";

/** Held requests of all revisions together: each holds a connection, its head and the start of its body in memory. */
export class QueueBudget {
  readonly #max: { requests: number; bytes: number };
  #used = 0;
  #bytes = 0;

  constructor(max: { requests: number; bytes: number }) {
    this.#max = max;
  }

  get used(): number {
    return this.#used;
  }

  get bytes(): number {
    return this.#bytes;
  }

  take(bytes: number): Refusal | undefined {
    if (this.#used >= this.#max.requests) return "queue-full";
    if (this.#bytes + bytes > this.#max.bytes) return "memory-full";
    this.#used += 1;
    this.#bytes += bytes;
    return undefined;
  }

  giveBack(bytes: number): void {
    this.#used -= 1;
    this.#bytes -= bytes;
  }
}

export interface ThrottlerOptions {
  /** Requests a pod takes at once; 0 = no limit. */
  containerConcurrency: number;
  /** Most requests held for this revision. */
  maxWaiting: number;
  budget: QueueBudget;
  random?: () => number;
}

export class Throttler {
  readonly #limit: number;
  readonly #maxWaiting: number;
  readonly #budget: QueueBudget;
  readonly #random: () => number;
  /** With the bytes that each takes. Keeps the order; one who gives up leaves in O(1). */
  readonly #waiting = new Map<Waiter, number>();
  /** Those that get new requests, in address order. */
  #pods: PodSlot[] = [];
  /** Also those that only finish their requests: an address that comes back keeps its count. */
  readonly #slots = new Map<string, PodSlot>();
  #active = 0;
  #next = 0;

  constructor(options: ThrottlerOptions) {
    this.#limit = options.containerConcurrency;
    this.#maxWaiting = options.maxWaiting;
    this.#budget = options.budget;
    this.#random = options.random ?? Math.random;
  }

  /** Requests a pod takes at once; 0 = no limit. */
  get limit(): number {
    return this.#limit;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Places taken. */
  get active(): number {
    return this.#active;
  }

  get pods(): readonly PodSlot[] {
    return this.#pods;
  }

  /**
   * A place, when nobody waits for one. With `ahead` it overtakes those who wait: for a request that had its turn
   * already and found its pod gone. Give it back with {@link release}.
   */
  tryAcquire(ahead = false): PodSlot | undefined {
    if (this.#waiting.size > 0 && !ahead) return undefined;
    const slot = this.#pick();
    return slot === undefined ? undefined : this.#take(slot);
  }

  /** Gets in line, or is refused. Each caller needs a function of its own: it is the handle. */
  enqueue(waiter: Waiter, bytes: number): Refusal | undefined {
    const refusal = this.#waiting.size >= this.#maxWaiting ? "queue-full" : this.#budget.take(bytes);
    if (refusal === undefined) this.#waiting.set(waiter, bytes);
    return refusal;
  }

  /** Gives up waiting; false when it was admitted already (the place is then the caller's to release). */
  leave(waiter: Waiter): boolean {
    const bytes = this.#waiting.get(waiter);
    if (bytes === undefined) return false;
    this.#waiting.delete(waiter);
    this.#budget.giveBack(bytes);
    return true;
  }

  release(slot: PodSlot): void {
    if (slot.inFlight === 0) throw new Error(`a place on ${slot.address} was released twice`);
    slot.inFlight -= 1;
    this.#active -= 1;
    if (!slot.current) {
      if (slot.inFlight === 0) this.#slots.delete(slot.address);
      return;
    }
    // The freed place goes to whoever has waited longest, without a search.
    if (this.#waiting.size > 0 && this.#hasRoom(slot)) this.#admit(this.#take(slot));
  }

  /**
   * The pods that may get requests from now on; sorted addresses. Admits those who wait.
   *
   * @param places by address, where they are fewer than the revision's limit
   */
  setPods(addresses: readonly string[], places?: ReadonlyMap<string, number>): void {
    for (const slot of this.#pods) slot.current = false;
    this.#pods = addresses.map((address) => {
      const slot = this.#slots.get(address) ?? createSlot(address);
      slot.current = true;
      slot.limit = places?.get(address);
      this.#slots.set(address, slot);
      return slot;
    });
    for (const [address, slot] of this.#slots) if (!slot.current && slot.inFlight === 0) this.#slots.delete(address);
    this.#next = this.#pods.length === 0 ? 0 : this.#next % this.#pods.length;
    while (this.#waiting.size > 0) {
      const slot = this.#pick();
      if (slot === undefined) return;
      this.#admit(this.#take(slot));
    }
  }

  #hasRoom(slot: PodSlot): boolean {
    return this.#limit === 0 || slot.inFlight < (slot.limit ?? this.#limit);
  }

  #pick(): PodSlot | undefined {
    if (this.#limit === 0) return betterOfTwo(this.#pods, this.#random);
    if (this.#limit < 4) return firstAvailable(this.#pods, this.#limit);
    const found = roundRobin(this.#pods, this.#limit, this.#next);
    if (found !== undefined) this.#next = found.next;
    return found?.pod;
  }

  #take(slot: PodSlot): PodSlot {
    slot.inFlight += 1;
    this.#active += 1;
    return slot;
  }

  // The place was taken before anything of the waiter runs, so no newcomer can overtake it.
  #admit(slot: PodSlot): void {
    const [waiter, bytes] = this.#waiting.entries().next().value!;
    this.#waiting.delete(waiter);
    this.#budget.giveBack(bytes);
    waiter(slot);
  }
}

function createSlot(address: string): PodSlot {
  const colon = address.lastIndexOf(":");
  return {
    address,
    host: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
    inFlight: 0,
    limit: undefined,
    current: false,
  };
}
