/** ServerlessService → private Service, public Service, and the Endpoints behind it (spec: serving-api 4.13). */
import { chooseSubset } from "../../api/consistent-subset.ts";
import { serverlessServiceConditions, type Conditions } from "../../api/conditions.ts";
import { endpoints, services, type Endpoints, type Service } from "../../api/core.ts";
import { sameValue } from "../../api/equality.ts";
import { label } from "../../api/keys.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { isConflict } from "../../kube/client.ts";
import { done } from "../../kube/reconciler.ts";
import type { Informer } from "../../kube/informer.ts";
import { ensureChild, type Child } from "../children.ts";
import {
  NotOwnedError,
  StaleCacheError,
  statusReconciler,
  type Deps,
  type Draft,
  type Reconciler,
  settledIn,
} from "../reconciler.ts";
import {
  makePrivateService,
  makePublicEndpoints,
  makePublicService,
  readyAddresses,
  servingSubsets,
} from "./resources.ts";

const notReady = "K8s Service is not ready";

type What = "PrivateService" | "PublicService" | "PublicEndpoints";

/** What could not be done shows as the reason, until another try does it. */
async function failingAs<T>(conditions: Conditions, reason: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isConflict(error) && !(error instanceof StaleCacheError))
      conditions.markUnknown("EndpointsPopulated", reason, notReady);
    throw error;
  }
}

export function serverlessServiceReconciler(deps: Deps): Reconciler {
  const { caches, client, systemNamespace } = deps;
  // The autoscaler waits for what it says: nothing is held back.
  const reconcileStatus = statusReconciler<ServerlessService>(
    { ...deps, statusPauseMs: 0 },
    serverlessServices,
    serverlessServiceConditions,
  );
  const activatorKey = `${systemNamespace}/activator-service`;

  async function owned<T extends KubeObject>(
    sks: ServerlessService,
    conditions: Conditions,
    resource: Resource,
    cache: Informer<T>,
    wanted: T,
    what: What,
  ): Promise<Child<T>> {
    const child = await failingAs(conditions, `Creating${what}`, () =>
      ensureChild(client, resource, cache, sks, wanted),
    );
    if (child.is !== "foreign") return child;
    const message = `Resource ${wanted.metadata.name} of type ${resource.kind} is not owned by SKS`;
    conditions.markFalse("EndpointsPopulated", "NotOwned", message);
    throw new NotOwnedError(message);
  }

  async function serviceOf(sks: ServerlessService, conditions: Conditions, wanted: Service, what: What): Promise<void> {
    const { object: found } = await owned(sks, conditions, services, caches.services, wanted, what);
    if (sameValue(found.spec.selector, wanted.spec.selector) && samePorts(found, wanted)) return;
    await failingAs(conditions, `Updating${what}`, () =>
      client.update<Service>(services, { ...found, spec: { ...found.spec, ...wanted.spec } }),
    );
  }

  async function reconcileSks({ object: sks, status, conditions }: Draft<ServerlessService>): Promise<void> {
    const { name = "", namespace = "" } = sks.metadata;
    const deployment = caches.deployments.get(`${namespace}/${sks.spec.objectRef.name}`);
    const selector = deployment?.spec.selector.matchLabels;
    if (selector === undefined) throw new StaleCacheError(`Deployment ${sks.spec.objectRef.name} is not there yet`);
    const privateService = makePrivateService(sks, selector);
    await Promise.all([
      serviceOf(sks, conditions, privateService, "PrivateService"),
      serviceOf(sks, conditions, makePublicService(sks), "PublicService"),
    ]);
    status.privateServiceName = privateService.metadata.name ?? "";
    status.serviceName = name;

    const backends = caches.endpoints.get(`${namespace}/${privateService.metadata.name}`);
    const activators = caches.endpoints.get(activatorKey);
    const isBacked = readyAddresses(backends).length > 0;
    const hasActivators = readyAddresses(activators).length > 0;
    const proxy = !isBacked || (sks.spec.mode === "Proxy" && hasActivators);
    const subsets = proxy ? activatorSubsets(sks, activators) : servingSubsets(sks, backends, () => true);
    const wanted = makePublicEndpoints(sks, subsets);
    const { object: found } = await owned(sks, conditions, endpoints, caches.endpoints, wanted, "PublicEndpoints");
    if (!sameValue(found.subsets ?? [], subsets))
      await failingAs(conditions, "UpdatingPublicEndpoints", () =>
        client.update<Endpoints>(endpoints, { ...found, subsets }),
      );

    if (isBacked) conditions.markTrue("EndpointsPopulated");
    else conditions.markUnknown("EndpointsPopulated", "NoHealthyBackends", notReady);
    const throughActivator = sks.spec.mode === "Proxy" || !isBacked;
    conditions.set(
      "ActivatorEndpointsPopulated",
      throughActivator ? "True" : "False",
      "ActivatorEndpointsPopulated",
      "Revision is backed by Activator",
    );
  }

  function activatorSubsets(sks: ServerlessService, activators: Endpoints | undefined) {
    const addresses = readyAddresses(activators).map(({ ip }) => ip);
    const { numActivators = 0 } = sks.spec;
    const chosen = new Set(
      numActivators === 0 ? addresses : chooseSubset(addresses, numActivators, sks.metadata.name ?? ""),
    );
    return servingSubsets(sks, activators, ({ ip }) => chosen.has(ip));
  }

  return {
    name: "serverlessservice-controller",
    lease: "knative.dev.serving.pkg.reconciler.serverlessservice.reconciler",
    isSettled: settledIn(caches.serverlessServices),
    async reconcile(key) {
      const sks = caches.serverlessServices.get(key);
      if (sks === undefined || sks.metadata.deletionTimestamp !== undefined) return done;
      return reconcileStatus(sks, reconcileSks);
    },
    watch: (enqueue) => [
      caches.serverlessServices.onChange(({ object }) => enqueue(keyOf(object))),
      caches.services.onChange(({ object }) => sksKeys(object).forEach(enqueue)),
      caches.endpoints.onChange(({ object }) => {
        if (keyOf(object) === activatorKey) caches.serverlessServices.list().forEach((sks) => enqueue(keyOf(sks)));
        else sksKeys(caches.services.get(keyOf(object)) ?? object).forEach(enqueue); // Endpoints bear their Service's name.
      }),
      caches.deployments.onChange((change) => {
        if (change.is !== "added") return;
        const { namespace = "", labels = {} } = change.object.metadata;
        const revision = labels[label.revision];
        if (revision !== undefined && caches.serverlessServices.get(`${namespace}/${revision}`) !== undefined)
          enqueue(`${namespace}/${revision}`);
      }),
    ],
  };
}

/** Services and their Endpoints carry the name of the ServerlessService they belong to. */
function sksKeys({ metadata }: KubeObject): string[] {
  const name = metadata.labels?.[label.serverlessService];
  return name === undefined ? [] : [`${metadata.namespace}/${name}`];
}

function samePorts(found: Service, wanted: Service): boolean {
  const brief = ({ spec }: Service): unknown =>
    (spec.ports ?? []).map(({ name, port, targetPort, appProtocol }) => [name, port, targetPort, appProtocol]);
  return sameValue(brief(found), brief(wanted));
}
