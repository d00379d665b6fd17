import { test } from "tap";
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { revisionScaling } from "../api/autoscaling-annotations.ts";
import type { PodAutoscaler } from "../api/autoscaling.ts";
import type { Deployment, Pod } from "../api/core.ts";
import type { ServerlessService } from "../api/networking.ts";
import type { Lister } from "../kube/informer.ts";
import { raiser, scale, type RevisionScalingDeps } from "./revision-scaling.ts";

const key = "default/hello-00001";
const metadata = { name: "hello-00001", namespace: "default" };
const since = "2026-01-01T00:00:00Z";
const nowMs = Date.parse(since) + 3_600_000;

interface Scene {
  replicas: number;
  desiredPods: number;
  annotations?: Record<string, string>;
  /** Of the pods' template. */
  template?: Record<string, string>;
  /** Requests in each pod. */
  pods?: number[];
  /** The ReplicaSet of each pod, in place of one for all. */
  owners?: string[];
  privateService?: string;
  deleted?: boolean;
  /** What is wanted once deletion costs were written. */
  desiredThen?: number;
}

function setUp({ pods = [], template = {}, owners, privateService = "hello-private", ...scene }: Scene) {
  const done: string[] = [];
  let { desiredPods } = scene;
  const pa: PodAutoscaler = {
    apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
    kind: "PodAutoscaler",
    metadata: {
      ...metadata,
      annotations: scene.annotations ?? {},
      ...(scene.deleted === true ? { deletionTimestamp: since } : {}),
    },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "hello" },
      protocolType: "http1",
      containerConcurrency: 10,
      reachability: "Reachable",
    },
    status: {
      conditions: ["Active", "ScaleTargetInitialized"].map((type) => ({
        type,
        status: "True",
        lastTransitionTime: since,
      })),
    },
  };
  const sks = {
    metadata,
    spec: { mode: "Proxy" },
    status: { privateServiceName: privateService },
  } as unknown as ServerlessService;
  const deployment = {
    metadata: { ...metadata, name: "hello" },
    spec: { replicas: scene.replicas, template: { metadata: { annotations: template } } },
  } as unknown as Deployment;
  const podObjects = pods.map((_, at): Pod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `pod-${at}`,
      namespace: "default",
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: "rs", uid: owners?.[at] ?? "rs", controller: true },
      ],
    },
    spec: { containers: [], nodeName: "node" },
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  }));
  const lister = <T>(of: string, object: T): Lister<T & object> =>
    ({ get: (asked: string) => (asked === of ? object : undefined) }) as unknown as Lister<T & object>;
  const deps: RevisionScalingDeps = {
    podAutoscalers: lister(key, pa) as Lister<PodAutoscaler>,
    serverlessServices: lister(key, sks) as Lister<ServerlessService>,
    deployments: lister("default/hello", deployment) as Lister<Deployment>,
    multiScaler: { get: () => ({ desiredPods, excessBurstCapacity: -1 }), applied: () => undefined },
    scaler: {
      write: async (of, replicas) => void done.push(`${of.metadata.name} replicas ${replicas}`),
      async writeCosts(changes) {
        done.push(changes.map(({ pod, cost }) => `${pod.metadata.name} costs ${cost}`).join(", "));
        desiredPods = scene.desiredThen ?? desiredPods;
      },
      wakesStarted: () => Promise.resolve(),
      probe: () => Promise.resolve(true),
      waiting: 0,
      close: () => Promise.resolve(),
    },
    pods: () => podObjects,
    inFlight: (_, { metadata: { name } }) => pods[Number(name!.slice("pod-".length))]!,
    config: () => parseAutoscalerConfig({}),
    progressDeadlineMs: () => 600_000,
    nowMs: () => nowMs,
  };
  const look = async (): Promise<string[]> => {
    const scaling = revisionScaling(pa.metadata.annotations, deps.config(), 10);
    const outcome = await scale(deps, pa, sks, scaling, desiredPods, new AbortController().signal);
    return [...done, ...(outcome.write === undefined ? [] : [`then ${outcome.write}`])];
  };
  return { done, raise: () => raiser(deps)(key), look };
}

const max = { "autoscaling.knative.dev/max-scale": "4" };
const raises: { name: string; scene: Scene; want: string[] }[] = [
  { name: "writes more pods", scene: { replicas: 0, desiredPods: 3 }, want: ["hello replicas 3"] },
  { name: "keeps the bounds", scene: { replicas: 1, desiredPods: 9, annotations: max }, want: ["hello replicas 4"] },
  { name: "writes nothing at the bound", scene: { replicas: 4, desiredPods: 9, annotations: max }, want: [] },
  { name: "never writes fewer", scene: { replicas: 5, desiredPods: 3 }, want: [] },
  { name: "writes nothing where there is no decision", scene: { replicas: 1, desiredPods: -1 }, want: [] },
  { name: "waits for a Service to serve by", scene: { replicas: 0, desiredPods: 1, privateService: "" }, want: [] },
  { name: "leaves what is being deleted", scene: { replicas: 0, desiredPods: 1, deleted: true }, want: [] },
];
for (const { name, scene, want } of raises)
  test(`a decision that is not waited with ${name}`, (t) => {
    const { done, raise } = setUp(scene);
    raise();
    t.same(done, want);
    t.end();
  });

const own = { "controller.kubernetes.io/pod-deletion-cost": "7" };
const looks: { name: string; scene: Scene; want: string[] }[] = [
  {
    name: "the busy pod is made dear before the smaller count is written",
    scene: { replicas: 4, desiredPods: 1, pods: [0, 0, 1, 0] },
    want: ["pod-2 costs 1", "then 1"],
  },
  { name: "idle pods need no cost", scene: { replicas: 4, desiredPods: 1, pods: [0, 0, 0, 0] }, want: ["then 1"] },
  { name: "neither does growing", scene: { replicas: 2, desiredPods: 3, pods: [0, 1] }, want: ["then 3"] },
  {
    name: "pods that are there above the old count go too",
    scene: { replicas: 3, desiredPods: 2, pods: [1, 1, 0, 0] },
    want: ["pod-0 costs 1, pod-1 costs 1", "then 2"],
  },
  {
    name: "a load that comes meanwhile is not forgotten",
    scene: { replicas: 4, desiredPods: 1, pods: [0, 0, 1, 0], desiredThen: 6 },
    want: ["pod-2 costs 1", "then 6"],
  },
  {
    name: "or leaves the count as it is",
    scene: { replicas: 4, desiredPods: 1, pods: [0, 0, 1, 0], desiredThen: 4 },
    want: ["pod-2 costs 1"],
  },
  {
    name: "costs of the user's own stay",
    scene: { replicas: 4, desiredPods: 1, pods: [0, 0, 1, 0], template: own },
    want: ["then 1"],
  },
  {
    name: "a rollout goes by rules of its own",
    scene: { replicas: 4, desiredPods: 1, pods: [0, 0, 1, 0], owners: ["old", "old", "new", "new"] },
    want: ["then 1"],
  },
];
for (const { name, scene, want } of looks)
  test(`scaling: ${name}`, async (t) => {
    t.same(await setUp(scene).look(), want);
  });
