import { test } from "tap";
import { dns1035Rule, qualifiedNameRule } from "./names.ts";
import { refusalOf, route, service, type Fields } from "./samples.ts";

const at = "spec.traffic[0]";
const latest = { latestRevision: true, percent: 100 };

interface Row {
  name: string;
  traffic: Fields[];
  service: string;
  /** When a Route hears something else. */
  route?: string;
}

const neither = `expected exactly one, got neither: ${at}.configurationName, ${at}.revisionName`;
const rows: Row[] = [
  { name: "no list", traffic: [], service: "", route: "Traffic targets sum to 0, want 100: spec.traffic" },
  { name: "all to the latest", traffic: [latest], service: "", route: neither },
  { name: "a Revision by name", traffic: [{ revisionName: "hello-1", percent: 100 }], service: "" },
  {
    name: "a Configuration by name",
    traffic: [{ configurationName: "hello", percent: 100 }],
    service: `must not set the field(s): ${at}.configurationName`,
    route: "",
  },
  {
    name: "both by name",
    traffic: [{ revisionName: "r", configurationName: "hello", percent: 100 }],
    service: `must not set the field(s): ${at}.configurationName`,
    route: `expected exactly one, got both: ${at}.configurationName, ${at}.revisionName`,
  },
  {
    name: "too little",
    traffic: [{ revisionName: "r", percent: 90 }],
    service: "Traffic targets sum to 90, want 100: spec.traffic",
  },
  {
    name: "too much",
    traffic: [
      { revisionName: "r", percent: 60 },
      { revisionName: "s", percent: 50 },
    ],
    service: "Traffic targets sum to 110, want 100: spec.traffic",
  },
  {
    name: "no percentage counts as none",
    traffic: [
      { revisionName: "r", percent: 100 },
      { revisionName: "s", tag: "t" },
    ],
    service: "",
  },
  {
    name: "a percentage over 100",
    traffic: [{ revisionName: "r", percent: 101 }],
    service: `Traffic targets sum to 101, want 100: spec.traffic\nexpected 0 <= 101 <= 100: ${at}.percent`,
  },
  {
    name: "a negative percentage",
    traffic: [
      { revisionName: "r", percent: -1 },
      { revisionName: "s", percent: 101 },
    ],
    service: `expected 0 <= -1 <= 100: ${at}.percent\nexpected 0 <= 101 <= 100: spec.traffic[1].percent`,
  },
  {
    name: "the latest by name",
    traffic: [{ revisionName: "r", latestRevision: true, percent: 100 }],
    service: `may not set revisionName "r" when latestRevision is true: ${at}.latestRevision`,
  },
  {
    name: "neither the latest nor a name",
    traffic: [{ latestRevision: false, percent: 100 }],
    service: `may not set revisionName "" when latestRevision is false: ${at}.latestRevision`,
    route: `${neither}\nmay not set revisionName "" when latestRevision is false: ${at}.latestRevision`,
  },
  {
    name: "a tag twice",
    traffic: [
      { revisionName: "r", percent: 100, tag: "t" },
      { revisionName: "s", tag: "t" },
    ],
    service: `Multiple definitions for "t": ${at}.tag, spec.traffic[1].tag`,
  },
  {
    name: "a tag three times",
    traffic: [
      { revisionName: "r", percent: 100, tag: "t" },
      { revisionName: "s", tag: "t" },
      { revisionName: "u", tag: "t" },
    ],
    service: `Multiple definitions for "t": ${at}.tag, spec.traffic[1].tag, spec.traffic[2].tag`,
  },
  {
    name: "a tag that is no label",
    traffic: [{ revisionName: "r", percent: 100, tag: "v1.0" }],
    service: `invalid value: not a DNS 1035 label: [${dns1035Rule}]: spec.traffic.tag[0]`,
  },
  {
    name: "a tag that is too long and no label",
    traffic: [{ revisionName: "r", percent: 100, tag: "-".repeat(64) }],
    service: `invalid value: not a DNS 1035 label: [must be no more than 63 bytes ${dns1035Rule}]: spec.traffic.tag[0]`,
  },
  {
    name: "an address",
    traffic: [{ revisionName: "r", percent: 100, url: "http://x" }],
    service: `must not set the field(s): ${at}.url`,
  },
  {
    name: "a name that is none",
    traffic: [{ revisionName: "r_", percent: 100 }],
    service: `invalid key name "r_": ${at}.revisionName\nname part ${qualifiedNameRule}`,
  },
];

test("traffic", (t) => {
  for (const row of rows) {
    t.equal(refusalOf(service({}, {}, { traffic: row.traffic })), row.service, `${row.name}, of a Service`);
    t.equal(refusalOf(route(row.traffic)), row.route ?? row.service, `${row.name}, of a Route`);
  }
  t.end();
});
