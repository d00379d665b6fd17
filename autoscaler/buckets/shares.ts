/**
 * Who should hold how many buckets. Nobody assigns them: each autoscaler sees the same members and the same leases,
 * leaves a free bucket to those who hold fewer, and gives one away while it holds at least two more than another.
 */

export interface ShareView {
  /** Address of this autoscaler. */
  me: string;
  /** Addresses of all autoscalers that live, this one included. */
  members: readonly string[];
  /** Address of the holder of each bucket, undefined while it is free or its holder is dead. */
  holders: ReadonlyMap<string, string | undefined>;
}

/** For each bucket that we hold more than another a free one is left to others for so long. */
const handicapStepMs = 300;
const maxHandicapMs = 1500;

/** How long a free bucket is left to others: 0 while nobody holds fewer. */
export function handicapMs({ me, members, holders }: ShareView): number {
  const fewest = Math.min(...members.map((member) => countOf(holders, member)));
  return Math.min(maxHandicapMs, Math.max(0, countOf(holders, me) - fewest) * handicapStepMs);
}

/** The bucket to give away for balance, if any. Only one autoscaler at a time sees itself in the place to. */
export function surplusBucket({ me, members, holders }: ShareView): string | undefined {
  if (members.length < 2) return undefined;
  const counts = members.map((member) => ({ member, count: countOf(holders, member) }));
  const most = Math.max(...counts.map(({ count }) => count));
  const fewest = Math.min(...counts.map(({ count }) => count));
  if (most - fewest < 2) return undefined;
  // While one is free somebody is about to take it, and the counts are about to change.
  for (const holder of holders.values()) if (holder === undefined) return undefined;
  const [giver] = counts
    .filter(({ count }) => count === most)
    .map(({ member }) => member)
    .sort();
  if (giver !== me) return undefined;
  return [...holders]
    .filter(([, holder]) => holder === me)
    .map(([bucket]) => bucket)
    .sort()
    .at(-1);
}

function countOf(holders: ShareView["holders"], member: string): number {
  let count = 0;
  for (const holder of holders.values()) if (holder === member) count += 1;
  return count;
}
