/** Route → routing state of Revisions and Configurations: who is served, and by whom (spec: serving-api 4.5). */
import { isFailed, isReady } from "../../api/conditions.ts";
import { routeFinalizer } from "../../api/keys.ts";
import { keyOf } from "../../api/meta.ts";
import { configurations, revisions, routes, type Configuration, type Revision, type Route } from "../../api/serving.ts";
import { isNotFound } from "../../kube/client.ts";
import { done } from "../../kube/reconciler.ts";
import { configurationTarget, index, revisionTarget } from "../caches.ts";
import { controllerOf, type Deps, type Reconciler, settledIn } from "../reconciler.ts";
import { referencePatch } from "./references.ts";

export function labelerReconciler(deps: Deps): Reconciler {
  const { caches, client, record } = deps;

  async function mark(object: Revision | Configuration, route: Route, isReferenced: boolean): Promise<void> {
    const { name: routeName = "" } = route.metadata;
    const patch = referencePatch(object, routeName, isReferenced, deps.nowMs());
    if (patch === undefined) return;
    const resource = object.kind === "Revision" ? revisions : configurations;
    const { name = "", namespace } = object.metadata;
    try {
      await client.patch(resource, name, namespace, { is: "merge", body: patch });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** What the Route serves, or will serve: from its status and its spec. */
  function referenced(route: Route): Map<string, Revision | Configuration> {
    const { namespace } = route.metadata;
    const found = new Map<string, Revision | Configuration>();
    const add = (object: Revision | Configuration | undefined): void => {
      if (object !== undefined) found.set(`${object.kind} ${object.metadata.name}`, object);
    };
    const addRevision = (name: string | undefined): void => {
      const revision = name === undefined ? undefined : caches.revisions.get(`${namespace}/${name}`);
      if (revision === undefined) return;
      add(revision);
      const owner = controllerOf(revision);
      if (owner?.kind === configurations.kind) add(caches.configurations.get(`${namespace}/${owner.name}`));
    };
    for (const { revisionName, configurationName, latestRevision } of [
      ...(route.status?.traffic ?? []),
      ...(route.spec.traffic ?? []),
    ]) {
      addRevision(revisionName);
      if (configurationName === undefined) continue;
      const configuration = caches.configurations.get(`${namespace}/${configurationName}`);
      add(configuration);
      // It gets the traffic once it is ready, and until then nobody may collect it.
      if (latestRevision === true) addRevision(configuration?.status?.latestCreatedRevisionName);
    }
    return found;
  }

  function listing(route: Route): (Revision | Configuration)[] {
    const key = keyOf(route);
    return [
      ...caches.revisions.byIndex(index.byListedRoute, key),
      ...caches.configurations.byIndex(index.byListedRoute, key),
    ];
  }

  async function setFinalizers(route: Route, finalizers: string[]): Promise<void> {
    const { name = "", namespace, resourceVersion } = route.metadata;
    const body = { metadata: { finalizers, ...(resourceVersion === undefined ? {} : { resourceVersion }) } };
    try {
      await client.patch(routes, name, namespace, { is: "merge", body });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
    record(route, "Normal", "FinalizerUpdate", `Updated "${name}" finalizers`);
  }

  return {
    name: "labeler-controller",
    lease: "knative.dev.serving.pkg.reconciler.labeler.reconciler",
    isSettled: settledIn(caches.routes),
    async reconcile(key) {
      const route = caches.routes.get(key);
      if (route === undefined) return done;
      const finalizers = route.metadata.finalizers ?? [];
      if (route.metadata.deletionTimestamp !== undefined) {
        if (!finalizers.includes(routeFinalizer)) return done;
        await Promise.all(listing(route).map((object) => mark(object, route, false)));
        await setFinalizers(
          route,
          finalizers.filter((finalizer) => finalizer !== routeFinalizer),
        );
        return done;
      }
      if (!finalizers.includes(routeFinalizer)) {
        await setFinalizers(route, [...finalizers, routeFinalizer]);
        return done; // Its event runs the key again.
      }
      const wanted = referenced(route);
      await Promise.all([...wanted.values()].map((object) => mark(object, route, true)));
      if (!isReady(route) && !isFailed(route)) return done;
      const gone = listing(route).filter((object) => !wanted.has(`${object.kind} ${object.metadata.name}`));
      await Promise.all(gone.map((object) => mark(object, route, false)));
      return done;
    },
    watch: (enqueue) => {
      const pointingAt = (target: string): void =>
        caches.routes.byIndex(index.byTarget, target).forEach((route) => enqueue(keyOf(route)));
      return [
        caches.routes.onChange(({ object }) => enqueue(keyOf(object))),
        caches.configurations.onChange(({ object: { metadata } }) =>
          pointingAt(configurationTarget(metadata.namespace ?? "", metadata.name ?? "")),
        ),
        caches.revisions.onChange((change) => {
          if (change.is === "updated") return;
          const { namespace = "", name = "" } = change.object.metadata;
          pointingAt(revisionTarget(namespace, name));
        }),
      ];
    },
  };
}
