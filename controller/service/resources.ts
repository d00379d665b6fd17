/** The Configuration and the Route of a Service (spec: serving-api 4.3). */
import { annotation, label, routeFinalizer } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { configurations, routes, type Configuration, type KService, type Route } from "../../api/serving.ts";
import { controllerReference } from "../../kube/write.ts";
import { without } from "../reconciler.ts";

/** Both spellings of the annotation. */
const rolloutDuration = [annotation.rolloutDuration, "serving.knative.dev/rolloutDuration"];

/** `existing` gives the Routes that the Configuration is annotated with already. */
export function makeConfiguration(service: KService, existing?: Configuration): Configuration {
  const { name = "", namespace = "", uid = "" } = service.metadata;
  const routeNames = new Set((existing?.metadata.annotations?.[annotation.routes] ?? "").split(","));
  routeNames.delete("");
  routeNames.add(name);
  return {
    apiVersion: apiVersionOf(configurations),
    kind: configurations.kind,
    metadata: {
      name,
      namespace,
      labels: { ...service.metadata.labels, [label.service]: name, [label.serviceUID]: uid },
      annotations: {
        ...without(service.metadata.annotations, [annotation.lastApplied, ...rolloutDuration]),
        [annotation.routes]: [...routeNames].sort().join(","),
      },
      ownerReferences: [controllerReference(service)],
    },
    spec: { template: service.spec.template },
  };
}

export function makeRoute(service: KService): Route {
  const { name = "", namespace = "" } = service.metadata;
  const traffic = service.spec.traffic ?? [];
  const targets = traffic.length > 0 ? traffic : [{ latestRevision: true, percent: 100 }];
  return {
    apiVersion: apiVersionOf(routes),
    kind: routes.kind,
    metadata: {
      name,
      namespace,
      labels: { ...service.metadata.labels, [label.service]: name },
      annotations: without(service.metadata.annotations, [annotation.lastApplied]),
      // There from the start, so that the labeler need not add it: a write less, and none that the first status meets.
      finalizers: [routeFinalizer],
      ownerReferences: [controllerReference(service)],
    },
    spec: {
      traffic: targets.map((target) =>
        (target.revisionName ?? "") === "" ? { ...target, configurationName: name } : { ...target },
      ),
    },
  };
}
