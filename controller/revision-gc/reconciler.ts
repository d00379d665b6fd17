/** Configuration → deletion of Revisions that no traffic needs any more (spec: serving-api 4.6). */
import { keyOf } from "../../api/meta.ts";
import { configurations, revisions } from "../../api/serving.ts";
import { isNotFound } from "../../kube/client.ts";
import { done } from "../../kube/reconciler.ts";
import { revisionsOf } from "../configuration/revision-choice.ts";
import { ownerKeys, type Deps, type Reconciler, settledIn } from "../reconciler.ts";
import { staleRevisions } from "./stale-revisions.ts";

export function revisionGcReconciler(deps: Deps): Reconciler {
  const { caches, client, config, log } = deps;
  return {
    name: "revision-gc-controller",
    lease: "knative.dev.serving.pkg.reconciler.gc.reconciler",
    isSettled: settledIn(caches.configurations),
    async reconcile(key) {
      const configuration = caches.configurations.get(key);
      if (configuration === undefined || configuration.metadata.deletionTimestamp !== undefined) return done;
      const all = revisionsOf(configuration, caches.revisions).filter(
        ({ metadata }) => metadata.deletionTimestamp === undefined,
      );
      for (const { metadata } of staleRevisions(configuration, all, config.current.gc, deps.nowMs()))
        try {
          const { name = "", namespace, uid } = metadata;
          await client.delete(revisions, name, namespace, uid === undefined ? {} : { preconditions: { uid } });
          log.info({ revision: keyOf({ metadata }) }, "deleted a Revision that no traffic needs");
        } catch (error) {
          if (!isNotFound(error)) log.warn({ err: error, revision: keyOf({ metadata }) }, "cannot delete a Revision");
        }
      return done;
    },
    watch: (enqueue) => [
      caches.configurations.onChange(({ object }) => enqueue(keyOf(object))),
      caches.revisions.onChange(({ object }) => ownerKeys(object, configurations).forEach(enqueue)),
      config.onChange((name) => {
        if (name === "gc") caches.configurations.list().forEach((object) => enqueue(keyOf(object)));
      }),
    ],
  };
}
