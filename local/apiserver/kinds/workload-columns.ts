/** The columns of what runs pods, and of what scales them. */
import type { KubeObject } from "../../../api/meta.ts";
import type { Column } from "../kind.ts";
import { ageSince, shortDuration } from "./age.ts";
import { ageColumn, column, nameColumn } from "./column.ts";
import { selectorText } from "./selector-text.ts";
import { at, few, list, number, numberColumn, or, text, textColumn } from "./stored-value.ts";

const templates = (selectorPath: string[], prefix: string[] = ["spec"]): Column[] => [
  column(
    "Containers",
    "string",
    (object) =>
      list(object, ...prefix, "template", "spec", "containers")
        .map((one) => text(one, "name"))
        .join(","),
    1,
  ),
  column(
    "Images",
    "string",
    (object) =>
      list(object, ...prefix, "template", "spec", "containers")
        .map((one) => text(one, "image"))
        .join(","),
    1,
  ),
  ...(selectorPath.length === 0
    ? []
    : [column("Selector", "string", (object) => or(selectorText(at(object, ...selectorPath)), "<none>"), 1)]),
];

function jobStatus(object: KubeObject): string {
  const has = (type: string) =>
    list(object, "status", "conditions").some((one) => text(one, "type") === type && text(one, "status") === "True");
  if (has("Complete")) return "Complete";
  if (has("Failed")) return "Failed";
  if (object.metadata.deletionTimestamp !== undefined) return "Terminating";
  if (has("Suspended")) return "Suspended";
  if (has("FailureTarget")) return "FailureTarget";
  return has("SuccessCriteriaMet") ? "SuccessCriteriaMet" : "Running";
}

const job: Column[] = [
  nameColumn,
  column("Status", "string", jobStatus),
  column("Completions", "string", (object) => {
    const succeeded = number(object, "status", "succeeded");
    if (at(object, "spec", "completions") !== undefined) return `${succeeded}/${text(object, "spec", "completions")}`;
    const parallelism = number(object, "spec", "parallelism");
    return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
  }),
  column("Duration", "string", (object, nowMs) => {
    const started = text(object, "status", "startTime");
    if (started === "") return "";
    const ended = text(object, "status", "completionTime");
    return shortDuration((ended === "" ? nowMs : Date.parse(ended)) - Date.parse(started));
  }),
  ageColumn,
  ...templates(["spec", "selector"]),
];

const targets = (object: KubeObject): string => {
  const current = list(object, "status", "currentMetrics");
  const v1 = text(object, "spec", "targetCPUUtilizationPercentage");
  if (v1 !== "") {
    const seen = text(object, "status", "currentCPUUtilizationPercentage");
    return `cpu: ${seen === "" ? "<unknown>" : `${seen}%`}/${v1}%`;
  }
  const shown = list(object, "spec", "metrics").map((metric, index) => {
    const type = text(metric, "type").toLowerCase();
    const own = (from: unknown) => at(from, type === "containerresource" ? "containerResource" : type);
    const wanted = own(metric);
    const seen = own(current[index]);
    const percent = text(wanted, "target", "averageUtilization");
    const name = type === "resource" ? `${text(wanted, "name")}: ` : "";
    if (percent !== "") {
      const now = text(seen, "current", "averageUtilization");
      return `${name}${now === "" ? "<unknown>" : `${now}%`}/${percent}%`;
    }
    const average = text(wanted, "target", "averageValue");
    const value = average || text(wanted, "target", "value");
    const now = text(seen, "current", average === "" ? "value" : "averageValue");
    return `${name}${or(now, "<unknown>")}/${value}${average === "" || type === "resource" ? "" : " (avg)"}`;
  });
  return shown.length === 0 ? "<none>" : few(shown, 2);
};

const autoscaler: Column[] = [
  nameColumn,
  column(
    "Reference",
    "string",
    (object) => `${text(object, "spec", "scaleTargetRef", "kind")}/${text(object, "spec", "scaleTargetRef", "name")}`,
  ),
  column("Targets", "string", targets),
  column("MinPods", "string", (object) => or(text(object, "spec", "minReplicas"), "<unset>")),
  numberColumn("MaxPods", "spec", "maxReplicas"),
  numberColumn("Replicas", "status", "currentReplicas"),
  ageColumn,
];

/** By message name. */
export const workloadColumns: Readonly<Record<string, readonly Column[]>> = {
  "apps.v1.Deployment": [
    nameColumn,
    column(
      "Ready",
      "string",
      (object) => `${number(object, "status", "readyReplicas")}/${number(object, "spec", "replicas")}`,
    ),
    column("Up-to-date", "string", (object) => number(object, "status", "updatedReplicas")),
    column("Available", "string", (object) => number(object, "status", "availableReplicas")),
    ageColumn,
    ...templates(["spec", "selector"]),
  ],
  "apps.v1.ReplicaSet": [
    nameColumn,
    numberColumn("Desired", "spec", "replicas"),
    numberColumn("Current", "status", "replicas"),
    numberColumn("Ready", "status", "readyReplicas"),
    ageColumn,
    ...templates(["spec", "selector"]),
  ],
  "apps.v1.StatefulSet": [
    nameColumn,
    column(
      "Ready",
      "string",
      (object) => `${number(object, "status", "readyReplicas")}/${number(object, "spec", "replicas")}`,
    ),
    ageColumn,
    ...templates([]),
  ],
  "apps.v1.DaemonSet": [
    nameColumn,
    numberColumn("Desired", "status", "desiredNumberScheduled"),
    numberColumn("Current", "status", "currentNumberScheduled"),
    numberColumn("Ready", "status", "numberReady"),
    numberColumn("Up-to-date", "status", "updatedNumberScheduled"),
    numberColumn("Available", "status", "numberAvailable"),
    column("Node Selector", "string", (object) =>
      or(selectorText({ matchLabels: at(object, "spec", "template", "spec", "nodeSelector") }), "<none>"),
    ),
    ageColumn,
    ...templates(["spec", "selector"]),
  ],
  "batch.v1.Job": job,
  "batch.v1.CronJob": [
    nameColumn,
    textColumn("Schedule", "spec", "schedule"),
    column("Timezone", "string", (object) => or(text(object, "spec", "timeZone"), "<none>")),
    column("Suspend", "string", (object) => (at(object, "spec", "suspend") === true ? "True" : "False")),
    column("Active", "integer", (object) => list(object, "status", "active").length),
    column("Last Schedule", "string", (object, nowMs) =>
      at(object, "status", "lastScheduleTime") === undefined
        ? "<none>"
        : ageSince(at(object, "status", "lastScheduleTime"), nowMs),
    ),
    ageColumn,
    ...templates(["spec", "jobTemplate", "spec", "selector"], ["spec", "jobTemplate", "spec"]),
  ],
  "autoscaling.v1.HorizontalPodAutoscaler": autoscaler,
  "autoscaling.v2.HorizontalPodAutoscaler": autoscaler,
};
