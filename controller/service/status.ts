/** What a Service's status says of its Configuration and its Route (spec: serving-api 4.3). */
import { conditionOf, isObserved, isReady, type Conditions } from "../../api/conditions.ts";
import type { Configuration, KService, Route, TrafficTarget } from "../../api/serving.ts";

type Status = NonNullable<KService["status"]>;

/** The part that comes from the Configuration. */
export function showConfiguration(status: Status, conditions: Conditions, configuration: Configuration): void {
  if (!isObserved(configuration)) {
    conditions.markUnknown(
      "ConfigurationsReady",
      "OutOfDate",
      "The Configuration is still working to reflect the latest desired specification.",
    );
    return;
  }
  assign(status, "latestCreatedRevisionName", configuration.status?.latestCreatedRevisionName);
  assign(status, "latestReadyRevisionName", configuration.status?.latestReadyRevisionName);
  copy(conditions, "ConfigurationsReady", configuration);
}

/** The part that comes from the Route. */
export function showRoute(status: Status, conditions: Conditions, route: Route, configuration: Configuration): void {
  if (!isObserved(route)) {
    conditions.markUnknown(
      "RoutesReady",
      "OutOfDate",
      "The Route is still working to reflect the latest desired specification.",
    );
    return;
  }
  assign(status, "url", route.status?.url);
  assign(status, "address", route.status?.address);
  assign(status, "traffic", route.status?.traffic);
  copy(conditions, "RoutesReady", route);
  if (isReady(route) && !trafficIsMigrated(route, configuration))
    conditions.markUnknown("RoutesReady", "TrafficNotMigrated", "Traffic is not yet migrated to the latest revision.");
}

function copy(conditions: Conditions, type: string, from: Configuration | Route): void {
  const ready = conditionOf(from, "Ready");
  if (ready !== undefined) conditions.set(type, ready.status, ready.reason, ready.message);
}

function assign<K extends keyof Status>(status: Status, key: K, value: Status[K] | undefined): void {
  if (value === undefined) delete status[key];
  else status[key] = value;
}

/** Whether the Route's status serves what its spec asks for, with the latest ready Revision of the Configuration. */
function trafficIsMigrated(route: Route, configuration: Configuration): boolean {
  const want = route.spec.traffic ?? [];
  const got = route.status?.traffic ?? [];
  const latest = configuration.status?.latestReadyRevisionName ?? "";
  const same = (a: TrafficTarget, b: TrafficTarget | undefined): boolean =>
    b !== undefined &&
    (a.tag ?? "") === (b.tag ?? "") &&
    (a.percent ?? 0) === (b.percent ?? 0) &&
    (a.configurationName === configuration.metadata.name ? latest : (a.revisionName ?? "")) === (b.revisionName ?? "");
  return want.length === got.length && want.every((target, index) => same(target, got[index]));
}
