/** Service → its Configuration and its Route, and their state into its status (spec: serving-api 4.3). */
import { isObserved, serviceConditions } from "../../api/conditions.ts";
import { sameValue } from "../../api/equality.ts";
import { configurations, kServices, routes, type Configuration, type KService, type Route } from "../../api/serving.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import type { Informer } from "../../kube/informer.ts";
import { done } from "../../kube/reconciler.ts";
import { ensureChild } from "../children.ts";
import { namedRevision } from "../configuration/revision-choice.ts";
import {
  NotOwnedError,
  notOwnedMessage,
  ownerKeys,
  StaleCacheError,
  statusReconciler,
  type Deps,
  type Reconciler,
  settledIn,
} from "../reconciler.ts";
import { makeConfiguration, makeRoute } from "./resources.ts";
import { showConfiguration, showRoute } from "./status.ts";
import { keyOf } from "../../api/meta.ts";

export function serviceReconciler(deps: Deps): Reconciler {
  const { caches, client, record } = deps;
  const reconcileStatus = statusReconciler<KService>(deps, kServices, serviceConditions);

  /** The child as it should be: created, or replaced where it differs. Undefined when it belongs to somebody else. */
  async function child<T extends Configuration | Route>(
    service: KService,
    resource: Resource,
    cache: Informer<T>,
    make: (existing: T | undefined) => T,
  ): Promise<T | undefined> {
    const { name } = service.metadata;
    let found;
    try {
      found = await ensureChild<T>(client, resource, cache, service, make(undefined));
    } catch (error) {
      if (!(error instanceof StaleCacheError))
        record(
          service,
          "Warning",
          "CreationFailed",
          `Failed to create ${resource.kind} ${JSON.stringify(name)}: ${(error as Error).message}`,
        );
      throw error;
    }
    if (found.is === "foreign") return undefined;
    if (found.is === "created") {
      record(service, "Normal", "Created", `Created ${resource.kind} ${JSON.stringify(name)}`);
      return found.object;
    }
    const wanted = make(found.object);
    return isUpToDate(found.object, wanted)
      ? found.object
      : client.update<T>(resource, withContent(found.object, wanted));
  }

  return {
    name: "service-controller",
    lease: "knative.dev.serving.pkg.reconciler.service.reconciler",
    isSettled: settledIn(caches.kServices),
    async reconcile(key) {
      const service = caches.kServices.get(key);
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return done;
      return reconcileStatus(service, async ({ status, conditions }) => {
        const { name = "" } = service.metadata;
        const configuration = await child(service, configurations, caches.configurations, (existing) =>
          makeConfiguration(service, existing),
        );
        if (configuration === undefined) {
          const message = notOwnedMessage("Configuration", name);
          conditions.markFalse("ConfigurationsReady", "NotOwned", message);
          throw new NotOwnedError(message);
        }
        showConfiguration(status, conditions, configuration);
        const revisionName = configuration.spec.template.metadata?.name;
        if (revisionName !== undefined) {
          // The Route must not move before the Configuration has accepted the name.
          if (!isObserved(configuration)) return;
          if (namedRevision(configuration, caches.revisions).is === "taken") {
            conditions.markFalse(
              "RoutesReady",
              "RevisionNameTaken",
              `The revision name "${revisionName}" is taken by a conflicting Revision, so traffic will not be migrated`,
            );
            return;
          }
        }
        const route = await child(service, routes, caches.routes, () => makeRoute(service));
        if (route === undefined) {
          const message = notOwnedMessage("Route", name);
          conditions.markFalse("RoutesReady", "NotOwned", message);
          throw new NotOwnedError(message);
        }
        showRoute(status, conditions, route, configuration);
      });
    },
    watch: (enqueue) => [
      caches.kServices.onChange(({ object }) => enqueue(keyOf(object))),
      caches.configurations.onChange(({ object }) => ownerKeys(object, kServices).forEach(enqueue)),
      caches.routes.onChange(({ object }) => ownerKeys(object, kServices).forEach(enqueue)),
    ],
  };
}

function isUpToDate<T extends KubeObject & { spec: unknown }>(found: T, wanted: T): boolean {
  return (
    sameValue(found.spec, wanted.spec) &&
    sameValue(found.metadata.labels ?? {}, wanted.metadata.labels ?? {}) &&
    sameValue(found.metadata.annotations ?? {}, wanted.metadata.annotations ?? {})
  );
}

function withContent<T extends KubeObject & { spec: unknown }>(found: T, wanted: T): T {
  const { labels = {}, annotations = {} } = wanted.metadata;
  return { ...found, spec: wanted.spec, metadata: { ...found.metadata, labels, annotations } };
}
