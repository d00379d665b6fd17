/** Configuration → one Revision per generation, and the latest ready one into its status (spec: serving-api 4.4). */
import { conditionOf, configurationConditions, type Conditions } from "../../api/conditions.ts";
import { keyOf } from "../../api/meta.ts";
import { configurations, revisions, type Configuration, type Revision } from "../../api/serving.ts";
import { isAlreadyExists } from "../../kube/client.ts";
import { done } from "../../kube/reconciler.ts";
import { ownerKeys, StaleCacheError, statusReconciler, type Deps, type Reconciler, settledIn } from "../reconciler.ts";
import { makeRevision } from "./resources.ts";
import { checkNamed, currentRevision, latestReadyRevision, revisionsOf } from "./revision-choice.ts";

export function configurationReconciler(deps: Deps): Reconciler {
  const { caches, client, record } = deps;
  const reconcileStatus = statusReconciler<Configuration>(deps, configurations, configurationConditions);

  /** The current Revision, created if need be; undefined where its name is taken. */
  async function revisionOf(configuration: Configuration, conditions: Conditions): Promise<Revision | undefined> {
    const choice = currentRevision(configuration, caches.revisions);
    if (choice.is === "found") return choice.revision;
    const wanted = makeRevision(configuration, deps.nowMs());
    const { name = "" } = wanted.metadata;
    const failed = (reason: string): void => {
      const message = `Revision creation failed with message: ${reason}.`;
      conditions.markFalse("Ready", "RevisionFailed", message);
      record(
        configuration,
        "Warning",
        "CreationFailed",
        `Failed to create Revision ${JSON.stringify(name)}: ${reason}`,
      );
    };
    if (choice.is === "taken") {
      failed(`revisions.serving.knative.dev "${name}" already exists`);
      return undefined;
    }
    try {
      const created = await client.create<Revision>(revisions, wanted);
      record(configuration, "Normal", "Created", `Created Revision ${JSON.stringify(name)}`);
      return created;
    } catch (error) {
      if (isAlreadyExists(error)) {
        const found = await client.get<Revision>(revisions, name, wanted.metadata.namespace);
        const checked = checkNamed(configuration, found);
        if (checked.is === "found" && found.metadata.deletionTimestamp === undefined) return found;
        if (checked.is === "found") throw new StaleCacheError(`Revision ${name} is being deleted`);
        failed((error as Error).message);
        return undefined;
      }
      failed((error as Error).message);
      throw error;
    }
  }

  return {
    name: "configuration-controller",
    lease: "knative.dev.serving.pkg.reconciler.configuration.reconciler",
    isSettled: settledIn(caches.configurations),
    async reconcile(key) {
      const configuration = caches.configurations.get(key);
      if (configuration === undefined || configuration.metadata.deletionTimestamp !== undefined) return done;
      return reconcileStatus(configuration, async (draft) => {
        const { status, conditions } = draft;
        const current = await revisionOf(configuration, conditions);
        if (current === undefined) return;
        const { name = "" } = current.metadata;
        status.latestCreatedRevisionName = name;
        showCurrent(configuration, current, conditions);

        const all = revisionsOf(configuration, caches.revisions);
        const latest = latestReadyRevision(configuration, all);
        if (latest === undefined) return;
        const { name: latestName = "" } = latest.metadata;
        if (status.latestReadyRevisionName !== latestName) {
          if (status.latestReadyRevisionName === undefined)
            record(configuration, "Normal", "ConfigurationReady", "Configuration becomes ready");
          record(
            configuration,
            "Normal",
            "LatestReadyUpdate",
            `LatestReadyRevisionName updated to ${JSON.stringify(latestName)}`,
          );
          status.latestReadyRevisionName = latestName;
        }
        if (latestName === name) conditions.markTrue("Ready");
        // The latest ready one was deleted and is made anew: an older one serves meanwhile.
        else if (conditions.is("Ready", "True")) conditions.markUnknown("Ready", "", "");
      });
    },
    watch: (enqueue) => [
      caches.configurations.onChange(({ object }) => enqueue(keyOf(object))),
      caches.revisions.onChange(({ object }) => ownerKeys(object, configurations).forEach(enqueue)),
    ],
  };

  /** Ready until the latest ready Revision is known: Unknown with the Revision's own message, or why it failed. */
  function showCurrent(configuration: Configuration, current: Revision, conditions: Conditions): void {
    const { name = "" } = current.metadata;
    const ready = conditionOf(current, "Ready");
    if (ready?.status === "False") {
      const message = `Revision "${name}" failed with message: ${ready.message ?? ""}.`;
      conditions.markFalse("Ready", "RevisionFailed", message);
      const before = conditionOf(configuration, "Ready");
      if (before?.status === "False" && before.message === message) return;
      if (configuration.status?.latestReadyRevisionName === name)
        record(configuration, "Warning", "LatestReadyFailed", `Latest ready revision "${name}" has failed`);
      else record(configuration, "Warning", "LatestCreatedFailed", `Latest created revision "${name}" has failed`);
    } else if (
      configuration.status?.latestReadyRevisionName !== name ||
      conditions.get("Ready")?.reason === "NewObservedGenFailure"
    ) {
      conditions.markUnknown("Ready", "", ready?.status === "Unknown" ? (ready.message ?? "") : "");
    }
  }
}
