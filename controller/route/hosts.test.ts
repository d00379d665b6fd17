/** Names of a host inside the cluster (spec: serving-api 4.8). */
import { test } from "tap";
import { localNames } from "./hosts.ts";

const long = "n".repeat(64);
const rows = [
  { namespace: "ns", domain: "cluster.local", want: ["h.ns", "h.ns.svc", "h.ns.svc.cluster.local"] },
  { namespace: "123", domain: "cluster.local", want: ["h.123.svc", "h.123.svc.cluster.local"] },
  { namespace: long, domain: "cluster.local", want: [`h.${long}.svc`, `h.${long}.svc.cluster.local`] },
  { namespace: "ns", domain: "a.example", want: ["h.ns", "h.ns.svc", "h.ns.svc.a.example"] },
];
for (const { namespace, domain, want } of rows)
  test(`in namespace ${namespace.slice(0, 5)} of ${domain}`, (t) => {
    const host = { tag: "", name: "h", local: "", public: undefined };
    t.same(localNames(host, namespace, domain), want, "a name that would pass for an address or no label is left out");
    t.end();
  });
