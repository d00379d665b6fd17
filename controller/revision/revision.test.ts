/** Every row of serving-api 4.11: what a Revision says of its Deployment, its pods and its PodAutoscaler. */
import path from "node:path";
import { test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { revisions } from "../../api/serving.ts";
import { objectsIn, reconcileRow, withChanges, type Changes, type ConfigData } from "../table.ts";
import type { Resolution } from "./digest.ts";
import { madeFor, makeWith, pa, progressing, up } from "./revision-fixture.ts";

const key = "default/hello-00001";
const given = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));

const deployment = "Deployment hello-00001-deployment";
const autoscaler = "PodAutoscaler hello-00001";
const stranger = { metadata: { ownerReferences: null } };
const down = (...conditions: object[]) => ({
  spec: { replicas: 1 },
  status: { replicas: 1, readyReplicas: null, availableReplicas: null, conditions },
});
const timedOut = progressing("False", "ProgressDeadlineExceeded", "it took too long");

const pod = (status: object): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "hello-00001-pod",
      namespace: "default",
      labels: { "serving.knative.dev/revision": "hello-00001", "serving.knative.dev/revisionUID": "uid-rev" },
    },
    spec: { containers: [] },
    status,
  }) as KubeObject;
const container = (name: string, more: object) => ({
  name,
  image: "x",
  imageID: "",
  ready: false,
  restartCount: 0,
  ...more,
});
const waiting = (reason: string, message: string) => ({ state: { waiting: { reason, message } } });
const ended = (exitCode: number, message?: string) => ({
  state: { waiting: { reason: "CrashLoopBackOff" } },
  lastState: { terminated: { exitCode, ...(message === undefined ? {} : { message }) } },
});
const starting: Changes = { "Revision hello-00001": { status: { conditions: null } } };
const noScale = pa(
  ["Unknown", "Queued", "Requests to the target are being buffered as resources are provisioned."],
  false,
);
const queued = "Queued: Requests to the target are being buffered as resources are provisioned.";

interface Row {
  name: string;
  change?: Changes;
  pods?: KubeObject[];
  config?: ConfigData;
  digests?: Resolution;
  /** Active, ContainerHealthy, Ready, ResourcesAvailable, each without its type. */
  conditions: [active: string, healthy: string, ready: string, available: string];
  writes?: string[];
  events?: string[];
  error?: string;
}
const statusOnly = ["update revisions hello-00001 status"];
const well: Row["conditions"] = ["True", "True", "True", "True"];

const rows: Row[] = [
  { name: "a Revision that serves is left alone", conditions: well, writes: [] },
  {
    name: "a Deployment that was just made has said nothing",
    change: { ...starting, [deployment]: null, [autoscaler]: null },
    conditions: ["Unknown Deploying", "Unknown Deploying", "Unknown Deploying", "Unknown Deploying"],
    writes: ["create deployments hello-00001-deployment", "create podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a Deployment of somebody else is not touched",
    change: { [deployment]: stranger },
    conditions: [
      "True",
      "True",
      'False NotOwned: There is an existing Deployment "hello-00001-deployment" that we do not own.',
      'False NotOwned: There is an existing Deployment "hello-00001-deployment" that we do not own.',
    ],
    events: ['Warning InternalError: There is an existing Deployment "hello-00001-deployment" that we do not own.'],
    error: 'There is an existing Deployment "hello-00001-deployment" that we do not own.',
  },
  {
    name: "a PodAutoscaler of somebody else is not touched",
    change: { [autoscaler]: stranger },
    conditions: [
      "True",
      "True",
      'False NotOwned: There is an existing PodAutoscaler "hello-00001" that we do not own.',
      'False NotOwned: There is an existing PodAutoscaler "hello-00001" that we do not own.',
    ],
    events: ['Warning InternalError: There is an existing PodAutoscaler "hello-00001" that we do not own.'],
    error: 'There is an existing PodAutoscaler "hello-00001" that we do not own.',
  },
  {
    name: "an Image of somebody else is not touched",
    change: { "Image hello-00001-cache-user-container": stranger },
    conditions: well,
    writes: [],
    events: [
      'Warning InternalError: There is an existing Image "hello-00001-cache-user-container" that we do not own.',
    ],
    error: 'There is an existing Image "hello-00001-cache-user-container" that we do not own.',
  },
  {
    name: "a Deployment without a Progressing condition is deploying",
    change: { ...starting, [deployment]: down(), [autoscaler]: noScale },
    conditions: [`Unknown ${queued}`, "Unknown", "Unknown Deploying", "Unknown Deploying"],
  },
  {
    name: "what a Deployment is unsure of is copied",
    change: {
      ...starting,
      [deployment]: down(progressing("Unknown", "DeploymentPaused", "Deployment is paused")),
      [autoscaler]: noScale,
    },
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "Unknown DeploymentPaused: Deployment is paused",
      "Unknown DeploymentPaused: Deployment is paused",
    ],
  },
  {
    name: "a Deployment that takes too long fails",
    change: { ...starting, [deployment]: down(timedOut), [autoscaler]: noScale },
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "False ProgressDeadlineExceeded: it took too long",
      "False ProgressDeadlineExceeded: it took too long",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a Deployment whose pods cannot be created fails",
    change: {
      ...starting,
      [deployment]: down(progressing("True"), {
        type: "ReplicaFailure",
        status: "True",
        reason: "FailedCreate",
        message: "exceeded quota",
      }),
      [autoscaler]: noScale,
    },
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "False FailedCreate: exceeded quota",
      "False FailedCreate: exceeded quota",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a pod that fits nowhere fails at once",
    change: { ...starting, [deployment]: down(progressing("True")), [autoscaler]: noScale },
    pods: [
      pod({
        conditions: [
          { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes are available" },
        ],
      }),
    ],
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "False Unschedulable: 0/3 nodes are available",
      "False Unschedulable: 0/3 nodes are available",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "where nodes come on demand a pod that fits nowhere waits",
    change: { ...starting, [deployment]: down(progressing("True")), [autoscaler]: noScale },
    config: { "config-deployment": { "pod-is-always-schedulable": "true" } },
    pods: [pod({ conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3" }] })],
    conditions: [`Unknown ${queued}`, "Unknown", "Unknown Deploying", "Unknown Deploying"],
  },
  {
    name: "a container that ended fails at once with what it said last",
    change: { ...starting, [deployment]: down(progressing("True")), [autoscaler]: noScale },
    pods: [
      pod({
        containerStatuses: [container("queue-proxy", {}), container("user-container", ended(3, "no such table"))],
      }),
    ],
    conditions: [
      `Unknown ${queued}`,
      "False ExitCode3: Container failed with: no such table",
      "False ExitCode3: Container failed with: no such table",
      "Unknown Deploying: CrashLoopBackOff: no such table",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a container that ended well and said nothing failed all the same",
    change: { ...starting, [deployment]: down(progressing("True")), [autoscaler]: noScale },
    pods: [pod({ containerStatuses: [container("user-container", ended(0))] })],
    conditions: [
      `Unknown ${queued}`,
      "False ExitCode0: Container failed with: container exited with no error",
      "False ExitCode0: Container failed with: container exited with no error",
      "Unknown Deploying: CrashLoopBackOff",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a container that waits is told of in the message before the deadline",
    change: { ...starting, [deployment]: down(progressing("True")), [autoscaler]: noScale },
    pods: [pod({ containerStatuses: [container("user-container", waiting("ImagePullBackOff", "no such image"))] })],
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "Unknown Deploying: ImagePullBackOff: no such image",
      "Unknown Deploying: ImagePullBackOff: no such image",
    ],
  },
  {
    name: "and is a failure after it",
    change: { ...starting, [deployment]: down(timedOut), [autoscaler]: noScale },
    pods: [pod({ containerStatuses: [container("user-container", waiting("ImagePullBackOff", "no such image"))] })],
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "False ImagePullBackOff: no such image",
      "False ImagePullBackOff: no such image",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a sidecar that waits is not the app",
    change: { ...starting, [deployment]: down(timedOut), [autoscaler]: noScale },
    pods: [pod({ containerStatuses: [container("queue-proxy", waiting("ErrImagePull", "no such sidecar"))] })],
    conditions: [
      `Unknown ${queued}`,
      "Unknown",
      "False ProgressDeadlineExceeded: it took too long",
      "False ProgressDeadlineExceeded: it took too long",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "a ready replica is healthy before the PodAutoscaler has said anything",
    change: { ...starting, [autoscaler]: { status: null } },
    conditions: ["Unknown Deploying", "True", "Unknown Deploying", "Unknown Deploying"],
  },
  {
    name: "replicas that are ready are not enough before the scale is initialised",
    change: { ...starting, [autoscaler]: noScale },
    conditions: [`Unknown ${queued}`, "True", "Unknown Deploying", "Unknown Deploying"],
  },
  {
    name: "an initialised scale makes a Revision ready",
    change: starting,
    conditions: well,
    events: ["RevisionReady: Revision becomes ready upon all resources being ready"],
  },
  {
    name: "a scale without a Service behind it is none",
    change: { ...starting, [autoscaler]: { status: { serviceName: "" } } },
    conditions: ["True", "True", "Unknown Deploying", "Unknown Deploying"],
  },
  {
    name: "a Revision at zero stays ready",
    change: {
      [deployment]: { spec: { replicas: 0 }, status: { replicas: null, readyReplicas: null, availableReplicas: null } },
      [autoscaler]: pa(["False", "NoTraffic", "The target is not receiving traffic."], true, {
        actualScale: 0,
        desiredScale: 0,
      }),
    },
    conditions: ["False NoTraffic: The target is not receiving traffic.", "True", "True", "True"],
  },
  {
    name: "a Revision on its way up stays ready",
    change: { [autoscaler]: noScaleButInitialised() },
    conditions: [`Unknown ${queued}`, "True", "True", "True"],
  },
  {
    name: "a scale that never was fails the Revision",
    change: {
      ...starting,
      [deployment]: { ...down(progressing("True")), spec: { replicas: 0 } },
      [autoscaler]: pa(["False", "TimedOut", "The target could not be activated."], false),
    },
    conditions: [
      "False TimedOut: The target could not be activated.",
      "Unknown",
      "False ProgressDeadlineExceeded: Initial scale was never achieved",
      "False ProgressDeadlineExceeded: Initial scale was never achieved",
    ],
  },
  {
    name: "a Revision that was ready fails when all its pods crash",
    change: { [deployment]: down(progressing("True")) },
    pods: [pod({ containerStatuses: [container("user-container", ended(1, "boom"))] })],
    conditions: [
      "True",
      "False ExitCode1: Container failed with: boom",
      "False ExitCode1: Container failed with: boom",
      "True",
    ],
    writes: ["update podautoscalers hello-00001", ...statusOnly],
  },
  {
    name: "images are looked up first",
    change: { "Revision hello-00001": { status: null }, [deployment]: null, [autoscaler]: null },
    digests: { is: "resolving" },
    conditions: ["", "Unknown", "Unknown ResolvingDigests", "Unknown ResolvingDigests"],
  },
  {
    name: "an image that is not there is named",
    change: { "Revision hello-00001": { status: null }, [deployment]: null, [autoscaler]: null },
    digests: { is: "failed", message: 'Unable to fetch image "x": failed to resolve image to digest: 404' },
    conditions: [
      "",
      'False ContainerMissing: Unable to fetch image "x": failed to resolve image to digest: 404',
      'False ContainerMissing: Unable to fetch image "x": failed to resolve image to digest: 404',
      "Unknown",
    ],
    events: ['Warning InternalError: Unable to fetch image "x": failed to resolve image to digest: 404'],
  },
];

function noScaleButInitialised() {
  return pa(["Unknown", "Queued", "Requests to the target are being buffered as resources are provisioned."], true);
}

for (const row of rows)
  test(row.name, async (t) => {
    const { change = {}, pods = [], config = {}, digests, conditions, writes = statusOnly, events = [] } = row;
    const all = withChanges(
      madeFor(given, config, up, pa(["True"], true, { actualScale: 1, desiredScale: 1, serviceName: "hello-00001" })),
      change,
    );
    const result = await reconcileRow(t, { make: makeWith(digests), key, objects: [...all, ...pods], config });
    const types = ["Active (Info)", "ContainerHealthy", "Ready", "ResourcesAvailable"];
    t.same(
      result.conditions(revisions),
      conditions.flatMap((text, at) => (text === "" ? [] : [`${types[at]} ${text}`])),
    );
    t.same(result.writes, writes);
    t.same(result.events, events);
    t.equal(result.error, row.error);
  });
