import * as fc from "fast-check";
import { test } from "tap";
import { handicapMs, surplusBucket, type ShareView } from "./shares.ts";

/** `aab-`: the first two buckets are held by a, the third by b, the fourth is free. */
const view = (me: string, members: string, holders: string): ShareView => ({
  me,
  members: members.split(""),
  holders: new Map(holders.split("").map((holder, index) => [`bucket-${index}`, holder === "-" ? undefined : holder])),
});

const rows: { name: string; view: ShareView; waits: boolean; gives: string | undefined }[] = [
  { name: "the only one takes all at once", view: view("a", "a", "aaa-"), waits: false, gives: undefined },
  { name: "the only one keeps all", view: view("a", "a", "aaaa"), waits: false, gives: undefined },
  { name: "one that holds nothing takes at once", view: view("b", "ab", "aaa-"), waits: false, gives: undefined },
  { name: "one that holds more lets others go first", view: view("a", "ab", "aaa-"), waits: true, gives: undefined },
  { name: "one that holds all gives one away", view: view("a", "ab", "aaaa"), waits: true, gives: "bucket-3" },
  { name: "one bucket more is no reason to move", view: view("a", "ab", "aab"), waits: true, gives: undefined },
  { name: "two more are", view: view("a", "ab", "aaab"), waits: true, gives: "bucket-2" },
  { name: "a third one is given to", view: view("a", "abc", "aabb"), waits: true, gives: "bucket-1" },
  { name: "but by one only", view: view("b", "abc", "aabb"), waits: true, gives: undefined },
  { name: "a dead one's are taken at once", view: view("b", "b", "--bb"), waits: false, gives: undefined },
  { name: "who holds the dead one's is not a member", view: view("b", "b", "aabb"), waits: false, gives: undefined },
  { name: "spares stand by", view: view("c", "abc", "ab"), waits: false, gives: undefined },
];
for (const { name, view: seen, waits, gives } of rows)
  test(name, (t) => {
    t.equal(handicapMs(seen) > 0, waits);
    t.equal(surplusBucket(seen), gives);
    t.end();
  });

test("from any start, giving and taking ends with all buckets held and nobody two above another", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.integer({ min: -1, max: 7 }), { minLength: 1, maxLength: 10 }),
      (count, start) => {
        const members = Array.from({ length: count }, (_, index) => `m${index}`);
        const known = (holder: string) => (members.includes(holder) ? holder : undefined);
        const holders = new Map(start.map((holder, index) => [`b${index}`, known(`m${holder}`)]));
        let moves = 0;
        for (;;) {
          const free = [...holders].find(([, holder]) => holder === undefined)?.[0];
          if (free !== undefined) {
            const first = members.toSorted(
              (a, b) => handicapMs({ me: a, members, holders }) - handicapMs({ me: b, members, holders }),
            )[0]!;
            holders.set(free, first);
            continue;
          }
          const givers = members.flatMap((me) => surplusBucket({ me, members, holders }) ?? []);
          if (givers.length === 0) break;
          if (givers.length > 1) return false;
          holders.set(givers[0]!, undefined);
          if (++moves > 20) return false;
        }
        const counts = members.map((member) => [...holders.values()].filter((holder) => holder === member).length);
        return Math.max(...counts) - Math.min(...counts) < 2;
      },
    ),
  );
  t.end();
});
