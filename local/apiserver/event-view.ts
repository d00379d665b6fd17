/** events.k8s.io/v1: the same Events as in core/v1, under the names of the newer API. */
import type { KubeObject } from "../../api/meta.ts";
import type { KindView } from "./kind.ts";

/** Newer name → core's. Every other field is called the same. */
const coreNames: Readonly<Record<string, string>> = {
  regarding: "involvedObject",
  note: "message",
  reportingController: "reportingComponent",
  deprecatedSource: "source",
  deprecatedFirstTimestamp: "firstTimestamp",
  deprecatedLastTimestamp: "lastTimestamp",
  deprecatedCount: "count",
};
const newerNames = Object.fromEntries(Object.entries(coreNames).map(([newer, core]) => [core, newer]));

const renamed = (object: KubeObject, apiVersion: string, names: Readonly<Record<string, string>>): KubeObject =>
  ({
    ...Object.fromEntries(Object.entries(object).map(([name, value]) => [names[name] ?? name, value])),
    apiVersion,
  }) as KubeObject;

export const eventView: KindView = {
  of: { group: "", version: "v1", plural: "events" },
  toStored: (object) => renamed(object, "v1", coreNames),
  fromStored: (object) => renamed(object, "events.k8s.io/v1", newerNames),
  fieldSelector: (path) =>
    path.startsWith("regarding.") ? `involvedObject.${path.slice("regarding.".length)}` : (coreNames[path] ?? path),
};
