/** Route → Ingress and placeholder Services, and where traffic goes into its status (spec: serving-api 4.7). */
import { conditionOf, isObserved, routeConditions, type Conditions } from "../../api/conditions.ts";
import { sameValue } from "../../api/equality.ts";
import { annotation, label } from "../../api/keys.ts";
import { keyOf } from "../../api/meta.ts";
import { kIngresses, type KIngress } from "../../api/networking.ts";
import {
  configurations,
  revisions,
  routes,
  type Configuration,
  type Revision,
  type Route,
  type TrafficTarget,
} from "../../api/serving.ts";
import { isNotFound } from "../../kube/client.ts";
import { done, type Outcome } from "../../kube/reconciler.ts";
import { configurationTarget, index, revisionTarget } from "../caches.ts";
import { ensureChild } from "../children.ts";
import {
  NotOwnedError,
  notOwnedMessage,
  ownerKeys,
  statusReconciler,
  StaleCacheError,
  type Deps,
  type Draft,
  type Reconciler,
  settledIn,
} from "../reconciler.ts";
import { reconcileCertificates, type RouteTls } from "./certificates.ts";
import { DomainNameError, domainOf, hostOf, urlOf, type Host, type HostContext } from "./hosts.ts";
import { ensurePlaceholders, leadPlaceholders } from "./placeholders.ts";
import { makeIngress } from "./resources.ts";
import { isInProgress, parseRollout, type Rollout } from "./rollout.ts";
import { nextRollout, rolloutDurationMs } from "./rollout-step.ts";
import { resolveTraffic, statusTargets, targetsByHost, type RevisionTarget, type Traffic } from "./traffic.ts";

type Resolved = Extract<Traffic, { is: "resolved" }>;

export function routeReconciler(deps: Deps): Reconciler {
  const { caches, client, config, record } = deps;
  const reconcileStatus = statusReconciler<Route>(deps, routes, routeConditions);

  const context = (route: Route): HostContext => ({
    network: config.current.network,
    domain: config.current.domain,
    clusterDomain: deps.clusterDomain,
    service: (name) => caches.services.get(`${route.metadata.namespace}/${name}`),
  });

  async function traffic({ object: route, status, conditions }: Draft<Route>): Promise<Resolved | undefined> {
    const { namespace } = route.metadata;
    try {
      const host = hostOf(route, "", context(route));
      // Until certificates are looked at below, the scheme is the one it had.
      const secure = new Set(status.url?.startsWith("https:") === true ? [domainOf(host)] : []);
      status.url = urlOf(host, config.current.network.defaultExternalScheme, secure);
    } catch (error) {
      if (error instanceof DomainNameError) conditions.markFalse("AllTrafficAssigned", "ErrorConfig", error.message);
      throw error;
    }
    const found = resolveTraffic(route, {
      configuration: (name) => caches.configurations.get(`${namespace}/${name}`),
      revision: (name) => caches.revisions.get(`${namespace}/${name}`),
    });
    if (found.is === "resolved") return found;
    // A watch may bring a Route before the other one brings what it names: no failure is told of that is none.
    if (found.absent !== undefined && (await isThere(found.absent, namespace)))
      throw new StaleCacheError(`${found.absent.is} ${found.absent.name} is there already`);
    conditions.set("AllTrafficAssigned", found.status, found.reason, found.message);
    return undefined;
  }

  async function isThere(
    { is, name }: { is: "configuration" | "revision"; name: string },
    namespace = "",
  ): Promise<boolean> {
    try {
      await client.get(is === "configuration" ? configurations : revisions, name, namespace);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async function ingressOf(
    route: Route,
    hosts: readonly Host[],
    targets: ReadonlyMap<string, RevisionTarget[]>,
    certificates: RouteTls,
    conditions: Conditions,
  ): Promise<{ ingress: KIngress; rollout: Rollout; nextStepMs?: number }> {
    const key = keyOf(route);
    const cached = caches.ingresses.get(key);
    const step = nextRollout({
      targets,
      previous: parseRollout(cached?.metadata.annotations?.[annotation.rollout]),
      ingressIsReady: cached !== undefined && isObserved(cached) && conditionOf(cached, "Ready")?.status === "True",
      routeIsReady: conditionOf(route, "IngressReady")?.status === "True",
      durationMs: rolloutDurationMs(route, config.current.network.rolloutDurationSeconds),
      nowMs: deps.nowMs(),
    });
    const wanted = makeIngress({
      route,
      hosts,
      targets,
      rollout: step.rollout,
      config: config.current,
      clusterDomain: deps.clusterDomain,
      certificates,
    });
    const { name = "" } = wanted.metadata;
    let child;
    try {
      child = await ensureChild(client, kIngresses, caches.ingresses, route, wanted);
    } catch (error) {
      record(route, "Warning", "CreationFailed", `Failed to create Ingress: ${(error as Error).message}`);
      throw error;
    }
    if (child.is === "foreign") {
      const message = notOwnedMessage("Ingress", name);
      conditions.markFalse("IngressReady", "NotOwned", message);
      throw new NotOwnedError(message);
    }
    if (child.is === "created") record(route, "Normal", "Created", `Created Ingress "${name}"`);
    const { object: found } = child;
    const same =
      sameValue(found.spec, wanted.spec) &&
      sameValue(found.metadata.labels ?? {}, wanted.metadata.labels) &&
      sameValue(found.metadata.annotations ?? {}, wanted.metadata.annotations);
    const { labels = {}, annotations = {} } = wanted.metadata;
    const ingress = same
      ? found
      : await client.update<KIngress>(kIngresses, {
          ...found,
          metadata: { ...found.metadata, labels, annotations },
          spec: wanted.spec,
        });
    return { ingress, ...step };
  }

  async function reconcileRoute(draft: Draft<Route>): Promise<Outcome> {
    const { object: route, status, conditions } = draft;
    if (!isObserved(route)) conditions.markUnknown("IngressReady", "IngressNotConfigured", ingressNotReconciled);
    const resolved = await traffic(draft);
    if (resolved === undefined) return done;
    const targets = targetsByHost(resolved.targets);
    const hosts = [...targets.keys()].map((tag) => hostOf(route, tag, context(route)));
    conditions.markTrue("AllTrafficAssigned");
    const certificates = await reconcileCertificates(deps, route, hosts, conditions);
    const { defaultExternalScheme } = config.current.network;
    const url = (host: Host): string => urlOf(host, defaultExternalScheme, certificates.secure);
    status.url = url(hosts[0]!);
    status.traffic = statusTargets(resolved.targets).map((target) => shown(target, hosts, url));
    const { name, namespace } = route.metadata;
    const local = `${name}.${namespace}.svc.${deps.clusterDomain}`;
    status.address = { url: `${certificates.secure.has(local) ? "https" : "http"}://${local}` };

    const own = async <T>(work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        if (error instanceof NotOwnedError && error.message.includes("placeholder"))
          conditions.markFalse("IngressReady", "NotOwned", error.message);
        throw error;
      }
    };
    const [placeholders, { ingress, rollout, nextStepMs }] = await Promise.all([
      own(ensurePlaceholders(deps, route, hosts)),
      ingressOf(route, hosts, targets, certificates, conditions),
    ]);

    const inProgress = isInProgress(rollout);
    const ready = conditionOf(ingress, "Ready");
    if (!isObserved(ingress) || ready === undefined)
      conditions.markUnknown("IngressReady", "IngressNotConfigured", ingressNotReconciled);
    else if (!inProgress) conditions.set("IngressReady", ready.status, ready.reason, ready.message);
    await own(leadPlaceholders(deps, route, placeholders, ingress));
    if (inProgress) {
      status.traffic = rolloutTraffic(status.traffic, resolved.targets, rollout, hosts, url);
      conditions.markUnknown(
        "IngressReady",
        "RolloutInProgress",
        "A gradual rollout of the latest revision(s) is in progress.",
      );
    }
    return nextStepMs === undefined ? done : { is: "again", afterMs: nextStepMs };
  }

  return {
    name: "route-controller",
    lease: "knative.dev.serving.pkg.reconciler.route.reconciler",
    isSettled: settledIn(caches.routes),
    async reconcile(key) {
      const route = caches.routes.get(key);
      if (route === undefined || route.metadata.deletionTimestamp !== undefined) return done;
      return reconcileStatus(route, reconcileRoute);
    },
    watch: (enqueue) => {
      const pointingAt = (target: string): void =>
        caches.routes.byIndex(index.byTarget, target).forEach((route) => enqueue(keyOf(route)));
      return [
        caches.routes.onChange(({ object }) => enqueue(keyOf(object))),
        caches.ingresses.onChange(({ object }) => ownerKeys(object, routes).forEach(enqueue)),
        caches.services.onChange(({ object }) => ownerKeys(object, routes).forEach(enqueue)),
        caches.certificates.onChange(({ object }) => {
          ownerKeys(object, routes).forEach(enqueue);
          // A wildcard may serve every Route of its namespace.
          if (object.metadata.labels?.[label.wildcardDomain] !== undefined)
            caches.routes.list(object.metadata.namespace).forEach((route) => enqueue(keyOf(route)));
        }),
        caches.configurations.onChange((change) => {
          if (change.is === "updated" && isSameTarget(change.previous, change.object)) return;
          const { metadata } = change.object;
          pointingAt(configurationTarget(metadata.namespace ?? "", metadata.name ?? ""));
        }),
        caches.revisions.onChange((change) => {
          if (change.is === "updated" && isSameTarget(change.previous, change.object)) return;
          const { metadata } = change.object;
          const namespace = metadata.namespace ?? "";
          pointingAt(revisionTarget(namespace, metadata.name ?? ""));
          const configuration = metadata.labels?.[label.configuration];
          if (configuration !== undefined) pointingAt(configurationTarget(namespace, configuration));
        }),
        config.onChange((name) => {
          if (name !== "network" && name !== "domain" && name !== "features") return;
          caches.routes.list().forEach((route) => enqueue(keyOf(route)));
        }),
      ];
    },
  };
}

/** Whether two states of a Configuration or Revision are the same to the Routes that lead to it. */
function isSameTarget(before: Configuration | Revision, after: Configuration | Revision): boolean {
  const seen = (object: Configuration | Revision): unknown[] => [
    object.metadata.uid,
    object.metadata.generation,
    object.metadata.deletionTimestamp,
    object.metadata.labels,
    conditionOf(object, "Ready"),
    (object as Configuration).status?.latestReadyRevisionName,
  ];
  return sameValue(seen(before), seen(after));
}

const ingressNotReconciled = "Ingress has not yet been reconciled.";

function shown(target: RevisionTarget, hosts: readonly Host[], url: (host: Host) => string): TrafficTarget {
  const host = target.tag === "" ? undefined : hosts.find(({ tag }) => tag === target.tag);
  return {
    ...(target.tag === "" ? {} : { tag: target.tag }),
    revisionName: target.revisionName,
    latestRevision: target.latestRevision,
    percent: target.percent,
    ...(host === undefined ? {} : { url: url(host) }),
  };
}

/** While a rollout runs, a latest target is shown as the Revisions that share its percents. */
function rolloutTraffic(
  steady: TrafficTarget[],
  targets: readonly RevisionTarget[],
  rollout: Rollout,
  hosts: readonly Host[],
  url: (host: Host) => string,
): TrafficTarget[] {
  const latest = targets.filter(({ latestRevision, percent }) => latestRevision && percent > 0);
  return steady.flatMap((entry) => {
    const target = latest.find(
      ({ revisionName, tag }) =>
        entry.latestRevision === true && revisionName === entry.revisionName && tag === (entry.tag ?? ""),
    );
    const running = rollout.configurations.find(
      ({ configurationName, tag }) =>
        target !== undefined && configurationName === target.configurationName && tag === undefined,
    );
    // Several entries that lead to the latest Revision share one rollout: their sum is not the share of any of them.
    if (running?.percent !== entry.percent) return [entry];
    if (target === undefined || running === undefined || running.revisions.length < 2) return [entry];
    return running.revisions.map(({ revisionName, percent }) =>
      shown({ ...target, revisionName, percent, latestRevision: true }, hosts, url),
    );
  });
}
