/**
 * What the owner of a bucket leaves to the next one, as a compact object: for each revision that is not idle at zero
 * its windows, the last words of its sources, and the state of its decider. Valid for exactly one change of owner.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import type { CollectionMemory } from "../collector.ts";
import type { DeciderMemory } from "../decider.ts";

export interface RevisionMemory {
  /** `namespace/revision`. */
  key: string;
  decider: DeciderMemory;
  /** Absent: there was no room for its windows. */
  load?: CollectionMemory;
}

export interface HandOver {
  bucket: string;
  /** `leaseTransitions` of the term that ends: only the term after it may use this. */
  transitions: number;
  /** When the owner stopped deciding, in milliseconds since the epoch. */
  atMs: number;
  revisions: RevisionMemory[];
}

const version = 1;
/** Of the packed object: an API server takes 1 MiB, base64 included for those that do not decode. */
export const maxPackedBytes = 700 * 1024;
/** Of the unpacked one, so that a bad object does no harm. */
const maxUnpackedBytes = 256 * 1024 * 1024;
/** Clocks of two nodes may differ by so much. */
const clockSlackMs = 5000;

/** Nothing is known of it that the API does not say. */
export function isIdleAtZero({ decider, load }: RevisionMemory): boolean {
  return (
    decider.desiredPods <= 0 &&
    decider.hold === undefined &&
    decider.state.mode.is === "stable" &&
    decider.state.delay.length === 0 &&
    (load === undefined || load.sources.every(({ rate, kind }) => kind === "activator" && rate === 0))
  );
}

/**
 * Packs what fits, the revisions that are wanted most first. `dropped`: revisions that go without; their next owner
 * treats them as after a crash.
 */
export function packHandOver(handOver: HandOver, maxBytes = maxPackedBytes): { packed: Buffer; dropped: number } {
  const revisions = handOver.revisions
    .filter((revision) => !isIdleAtZero(revision))
    .sort((a, b) => b.decider.desiredPods - a.decider.desiredPods);
  for (let count = revisions.length; ; count = Math.floor(count * 0.7)) {
    const packed = pack({ ...handOver, revisions: revisions.slice(0, count) });
    if (packed.length <= maxBytes || count === 0) return { packed, dropped: revisions.length - count };
  }
}

function pack(handOver: HandOver): Buffer {
  const text = JSON.stringify({ version, ...handOver }, (_, value: unknown) =>
    typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value,
  );
  // Windows are long rows of similar numbers: the quickest setting already finds most of it.
  return brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } });
}

/** Undefined when it is of no use to the term that took the lease with `transitions`. Throws on anything malformed. */
export function unpackHandOver(
  packed: Buffer,
  term: { bucket: string; transitions: number },
  nowMs: number,
): HandOver | undefined {
  const text = brotliDecompressSync(packed, { maxOutputLength: maxUnpackedBytes }).toString("utf8");
  const found = JSON.parse(text, (_, value: unknown) => {
    const special = (value as { number?: unknown } | null)?.number;
    return typeof special === "string" ? Number(special) : value;
  }) as HandOver & { version: number };
  if (found.version !== version || found.bucket !== term.bucket) return undefined;
  // An owner in between that died without a word: what it decided is not in here.
  if (found.transitions + 1 !== term.transitions) return undefined;
  // Seconds that have not come yet cannot be counted.
  if (found.atMs > nowMs + clockSlackMs) return undefined;
  return found;
}
