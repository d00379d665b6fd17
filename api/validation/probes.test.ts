import { test } from "tap";
import type { Features } from "../features.ts";
import { refusalOf, service } from "./samples.ts";

const at = "spec.template.spec.containers[0].readinessProbe";
const live = "spec.template.spec.containers[0].livenessProbe";
const side = "spec.template.spec.containers[1]";
const max = 2_147_483_647;
const http = { httpGet: { port: 0 } };

interface Row {
  name: string;
  /** Of the serving container. */
  readiness?: object;
  liveness?: object;
  startup?: object;
  portName?: string;
  /** A second container with these fields. */
  sidecar?: object;
  refused: string;
  features?: Partial<Features>;
}

const probing: Partial<Features> = { multiContainerProbing: "Enabled" };
const rows: Row[] = [
  { name: "no handler of one's own", readiness: {}, refused: "" },
  { name: "a number that is not the port's", readiness: { httpGet: { path: "/", port: 1234 } }, refused: "" },
  { name: "exec and gRPC", readiness: { exec: { command: ["true"] } }, liveness: { grpc: { port: 80 } }, refused: "" },
  { name: "a probe as Kubernetes has it", readiness: { ...http, periodSeconds: 1 }, refused: "" },
  {
    name: "liveness without a handler",
    liveness: {},
    refused: `expected exactly one, got neither: ${live}.exec, ${live}.grpc, ${live}.httpGet, ${live}.tcpSocket`,
  },
  {
    name: "two handlers",
    readiness: { httpGet: {}, tcpSocket: {} },
    refused: `expected exactly one, got both: ${at}.httpGet, ${at}.tcpSocket`,
  },
  {
    name: "gRPC and another, in Knative's spelling",
    liveness: { grpc: { port: 1 }, exec: {} },
    refused: `expected exactly one, got both: ${live}.exec, ${live}.gRPC`,
  },
  {
    name: "a failure threshold without a period",
    readiness: { ...http, failureThreshold: 3 },
    refused: `failureThreshold is disallowed when periodSeconds is zero: ${at}.failureThreshold`,
  },
  {
    name: "a timeout without a period",
    readiness: { ...http, timeoutSeconds: 1 },
    refused: `timeoutSeconds is disallowed when periodSeconds is zero: ${at}.timeoutSeconds`,
  },
  {
    name: "both at zero without a period",
    readiness: { ...http, timeoutSeconds: 0, failureThreshold: 0 },
    refused: "",
  },
  {
    name: "a negative period",
    readiness: { ...http, periodSeconds: -1 },
    refused: `expected 0 <= -1 <= ${max}: ${at}.periodSeconds`,
  },
  {
    name: "a negative delay",
    readiness: { ...http, initialDelaySeconds: -2 },
    refused: `expected 0 <= -2 <= ${max}: ${at}.initialDelaySeconds`,
  },
  {
    name: "a negative success threshold",
    readiness: { ...http, successThreshold: -1 },
    refused: `expected 1 <= -1 <= ${max}: ${at}.successThreshold`,
  },
  {
    name: "a negative timeout",
    readiness: { ...http, periodSeconds: 1, timeoutSeconds: -1 },
    refused: `expected 1 <= -1 <= ${max}: ${at}.timeoutSeconds`,
  },
  {
    name: "a negative failure threshold",
    readiness: { ...http, periodSeconds: 1, failureThreshold: -1 },
    refused: `expected 1 <= -1 <= ${max}: ${at}.failureThreshold`,
  },
  { name: "liveness, whose times are Kubernetes' affair", liveness: { ...http, failureThreshold: 9 }, refused: "" },
  { name: "the name of the port", readiness: { httpGet: { port: "h2c" } }, portName: "h2c", refused: "" },
  { name: "http for a port without a name", readiness: { tcpSocket: { port: "http" } }, refused: "" },
  {
    name: "http for a port with another name",
    readiness: { tcpSocket: { port: "http" } },
    portName: "http1",
    refused: `invalid value: http: ${at}.tcpSocket.port\nProbe port must match container port`,
  },
  {
    name: "a name that no port has",
    readiness: { httpGet: { port: "web" } },
    refused: `invalid value: web: ${at}.httpGet.port\nProbe port must match container port`,
  },
  {
    name: "the same on startup",
    startup: { httpGet: { port: "web" } },
    refused: `invalid value: web: ${at.replace("readiness", "startup")}.httpGet.port\nProbe port must match container port`,
  },
  { name: "a sidecar without probes", sidecar: {}, refused: "" },
  {
    name: "a probe on a sidecar",
    sidecar: { livenessProbe: { httpGet: { port: 1 }, periodSeconds: 3 } },
    refused: `must not set the field(s): ${side}.livenessProbe, ${side}.livenessProbe.periodSeconds`,
  },
  {
    name: "readiness on a sidecar, which gets its threshold",
    sidecar: { readinessProbe: { exec: {} } },
    refused: `must not set the field(s): ${side}.readinessProbe, ${side}.readinessProbe.successThreshold`,
  },
  {
    name: "probes on a sidecar where they are enabled",
    sidecar: { readinessProbe: { httpGet: { port: 1 } }, livenessProbe: { exec: {} } },
    refused: "",
    features: probing,
  },
  {
    name: "such a probe by name",
    sidecar: { startupProbe: { tcpSocket: { port: "any" } } },
    refused: "",
    features: probing,
  },
  {
    name: "such a probe without a port",
    sidecar: { readinessProbe: { httpGet: {} } },
    refused: `invalid value: 0: ${side}.readinessProbe.httpGet.port\nProbe port must be specified`,
    features: probing,
  },
  {
    name: "probes on a sidecar where they are only allowed",
    sidecar: { livenessProbe: { exec: {} } },
    refused: `must not set the field(s): ${side}.livenessProbe`,
    features: { multiContainerProbing: "Allowed" },
  },
];

test("probes", (t) => {
  for (const { name, readiness, liveness, startup, portName, sidecar, refused, features = {} } of rows) {
    const image = "dev.local/hello:1";
    const container = {
      image,
      readinessProbe: readiness,
      livenessProbe: liveness,
      startupProbe: startup,
      ...(portName === undefined && sidecar === undefined ? {} : { ports: [{ containerPort: 80, name: portName }] }),
    };
    const containers = sidecar === undefined ? [container] : [container, { image, ...sidecar }];
    t.equal(refusalOf(service({ containers }), { platform: { features } }), refused, name);
  }
  t.end();
});
