/** Who is rejected after any order of changes is what settling all that are there from scratch says. */
import * as fc from "fast-check";
import { test } from "tap";
import { settleClaims } from "../../api/ingress-claims.ts";
import { annotation } from "../../api/keys.ts";
import { keyOf } from "../../api/meta.ts";
import { swellIngressClass, type KIngress } from "../../api/networking.ts";
import type { Change } from "../../kube/informer.ts";
import { HostConflicts } from "./host-conflicts.ts";

interface Step {
  name: string;
  /** undefined: it is deleted. */
  hosts: string[] | undefined;
  /** A new object of the name, of this age, where it differs. */
  second: number;
  ours: boolean;
}

function ingress({ name, hosts = [], second, ours }: Step): KIngress {
  return {
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Ingress",
    metadata: {
      name,
      namespace: "ns",
      uid: `${name}-${second}`,
      creationTimestamp: `2026-01-01T00:00:0${second}Z`,
      annotations: { [annotation.ingressClass]: ours ? swellIngressClass : "another" },
    },
    spec: { httpOption: "Enabled", rules: [{ hosts, visibility: "ExternalIP", http: { paths: [] } }] },
  };
}

const steps = fc.array(
  fc.record({
    name: fc.constantFrom("a", "b", "c", "d"),
    hosts: fc.option(fc.uniqueArray(fc.constantFrom("x", "y", "Z", "z"), { minLength: 1, maxLength: 3 }), {
      nil: undefined,
    }),
    second: fc.nat({ max: 3 }),
    ours: fc.boolean(),
  }),
  { maxLength: 20 },
);

test("after each change the same are rejected as when all are settled anew, and who changed sides is named", async () => {
  fc.assert(
    fc.property(steps, (all) => {
      const present = new Map<string, KIngress>();
      const conflicts = new HostConflicts(() => present.values());
      let before = new Set<string>();
      for (const step of all) {
        const named = new Set<string>();
        for (const change of changesOf(step, present)) {
          if (change.is === "deleted") present.delete(step.name);
          else present.set(step.name, change.object);
          for (const key of conflicts.changed(change)) if (!named.delete(key)) named.add(key);
        }
        const after = new Set(settleClaims(present.values()).rejected.map(keyOf));
        for (const key of ["ns/a", "ns/b", "ns/c", "ns/d"])
          if (conflicts.has(key) !== after.has(key) || named.has(key) !== (before.has(key) !== after.has(key)))
            return false;
        before = after;
      }
      return true;
    }),
  );
});

/** As an informer tells of it: another uid is a deletion first. */
function changesOf(step: Step, present: ReadonlyMap<string, KIngress>): Change<KIngress>[] {
  const previous = present.get(step.name);
  if (step.hosts === undefined) return previous === undefined ? [] : [{ is: "deleted", object: previous }];
  const object = ingress(step);
  if (previous === undefined) return [{ is: "added", object }];
  if (previous.metadata.uid === object.metadata.uid) return [{ is: "updated", object, previous }];
  return [
    { is: "deleted", object: previous },
    { is: "added", object },
  ];
}

test("what shares no host with anybody is settled without looking at the others", async (t) => {
  let looks = 0;
  const conflicts = new HostConflicts(() => {
    looks += 1;
    return [];
  });
  const first = ingress({ name: "a", hosts: ["x"], second: 0, ours: true });
  const second = ingress({ name: "b", hosts: ["y"], second: 0, ours: true });
  conflicts.changed({ is: "added", object: first });
  conflicts.changed({ is: "added", object: second });
  conflicts.changed({ is: "updated", object: { ...first, status: {} }, previous: first });
  conflicts.changed({ is: "deleted", object: second });
  t.equal(looks, 0);
});
