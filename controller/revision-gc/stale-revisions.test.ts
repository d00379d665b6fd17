import { test } from "tap";
import { rfc3339 } from "../../api/conditions.ts";
import { annotation, label } from "../../api/keys.ts";
import type { Configuration, Revision } from "../../api/serving.ts";
import { parseGcConfig } from "../config/gc.ts";
import { staleRevisions } from "./stale-revisions.ts";

const hour = 3_600_000;
const nowMs = 1000 * hour;

const revision = (name: string, idleHours: number, state = "reserve", annotations = {}): Revision => ({
  apiVersion: "serving.knative.dev/v1",
  kind: "Revision",
  metadata: {
    name,
    creationTimestamp: rfc3339(nowMs - 100 * hour),
    labels: { [label.routingState]: state },
    annotations: { [annotation.routingStateModified]: rfc3339(nowMs - idleHours * hour), ...annotations },
  },
  spec: { containers: [] },
});
const configuration: Configuration = {
  apiVersion: "serving.knative.dev/v1",
  kind: "Configuration",
  metadata: { name: "hello" },
  spec: { template: { spec: { containers: [] } } },
  status: { latestReadyRevisionName: "latest" },
};
const all = [
  revision("latest", 50),
  revision("served", 50, "active"),
  revision("kept", 50, "reserve", { "serving.knative.dev/no-gc": "True" }),
  revision("old", 40),
  revision("older", 50),
  revision("recent", 2),
];

const rows: { name: string; gc: Record<string, string>; want: string[] }[] = [
  { name: "with stock settings a few Revisions are left alone", gc: {}, want: [] },
  {
    name: "what was idle for too long goes, the longest idle first",
    gc: { "min-non-active-revisions": "0" },
    want: ["older", "old"],
  },
  { name: "the minimum stays whatever its age", gc: { "min-non-active-revisions": "2" }, want: ["older"] },
  {
    name: "beyond the maximum even recent ones go",
    gc: { "min-non-active-revisions": "0", "max-non-active-revisions": "0" },
    want: ["older", "old", "recent"],
  },
  {
    name: "with both durations disabled only the maximum counts",
    gc: {
      "min-non-active-revisions": "0",
      "max-non-active-revisions": "2",
      "retain-since-create-time": "disabled",
      "retain-since-last-active-time": "disabled",
    },
    want: ["older"],
  },
];
for (const { name, gc, want } of rows)
  test(name, (t) => {
    const found = staleRevisions(configuration, all, parseGcConfig(gc), nowMs);
    t.same(
      found.map(({ metadata }) => metadata.name),
      want,
    );
    t.end();
  });
