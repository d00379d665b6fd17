import { test } from "tap";
import type { Features } from "../features.ts";
import { refusalOf, revision, service, type Template } from "./samples.ts";

const at = "spec.template.spec.containers[0]";
const second = "spec.template.spec.containers[1]";
const image = "dev.local/side:1";
const init = (...initContainers: object[]): Template => ({ spec: { initContainers } });
const port = (fields: object): Template => ({ container: { ports: [fields] } });
const two = (first: object, other: object): Template => ({
  containers: [
    { image, name: "app", ...first },
    { image, name: "side", ...other },
  ],
});
const withPort = { ports: [{ containerPort: 8080 }] };

interface Row {
  name: string;
  template: Template;
  /** "" = accepted. */
  refused: string;
  features?: Partial<Features>;
}

const rows: Row[] = [
  { name: "one image is enough", template: {}, refused: "" },
  {
    name: "everything that needs no flag",
    template: {
      spec: { serviceAccountName: "sa.x", imagePullSecrets: [{ name: "s" }], automountServiceAccountToken: false },
      container: {
        imagePullPolicy: "Always",
        command: ["a"],
        args: [""],
        workingDir: "/",
        env: [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }],
        envFrom: [{ prefix: "P_", configMapRef: { name: "c", optional: true } }],
        resources: { limits: { cpu: "1" }, requests: { memory: "1Gi" } },
        terminationMessagePath: "/dev/t",
        terminationMessagePolicy: "FallbackToLogsOnError",
        securityContext: { privileged: false, runAsUser: 0, capabilities: { drop: ["ALL"] } },
      },
    },
    refused: "",
  },
  { name: "no image", template: { container: { image: "" } }, refused: `missing field(s): ${at}.image` },
  {
    name: "an empty container gets a name, so its image is missing",
    template: { containers: [{}] },
    refused: `missing field(s): ${at}.image`,
  },
  { name: "no containers", template: { containers: [] }, refused: "missing field(s): spec.template.spec.containers" },
  {
    name: "an image that is none",
    template: { container: { image: "a b" } },
    refused: `Failed to parse image reference: ${at}.image\nimage: "a b", error: could not parse reference: a b`,
  },
  {
    name: "queue-proxy as a name",
    template: { container: { name: "queue-proxy" } },
    refused: `"queue-proxy" is a reserved container name: ${at}.name`,
  },
  {
    name: "the name of the other container",
    template: two(withPort, { name: "app" }),
    refused: `duplicate container name "app": ${second}.name`,
  },
  {
    name: "a termination policy of one's own",
    template: { container: { terminationMessagePolicy: "Pipe" } },
    refused: `invalid value: Pipe: ${at}.terminationMessagePolicy`,
  },
  {
    name: "fields that no Revision has",
    template: { container: { lifecycle: {}, stdin: true, tty: true, volumeDevices: [{}], stdinOnce: true } },
    refused: `must not set the field(s): ${["lifecycle", "stdin", "stdinOnce", "tty", "volumeDevices"].map((field) => `${at}.${field}`).join(", ")}`,
  },
  {
    name: "such fields at what they are without",
    template: { container: { stdin: false, tty: false, volumeDevices: [] } },
    refused: "",
  },
  {
    name: "resource claims",
    template: { container: { resources: { claims: [{ name: "x" }] } } },
    refused: `must not set the field(s): ${at}.resources.claims`,
  },

  {
    name: "a variable that is the platform's",
    template: { container: { env: [{ name: "PORT" }] } },
    refused: `"PORT" is a reserved environment variable: ${at}.env[0].name`,
  },
  {
    name: "the Revision's name as a variable",
    template: { container: { env: [{ name: "A" }, { name: "K_REVISION" }] } },
    refused: `"K_REVISION" is a reserved environment variable: ${at}.env[1].name`,
  },
  { name: "PORT in a sidecar", template: two(withPort, { env: [{ name: "PORT", value: "1" }] }), refused: "" },
  {
    name: "K_SERVICE in a sidecar",
    template: two(withPort, { env: [{ name: "K_SERVICE" }] }),
    refused: `"K_SERVICE" is a reserved environment variable: ${second}.env[0].name`,
  },
  {
    name: "a variable without a name",
    template: { container: { env: [{ name: "", value: "x" }] } },
    refused: `missing field(s): ${at}.env[0].name`,
  },
  {
    name: "fieldRef without its flag",
    template: { container: { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] } },
    refused: `must not set the field(s): ${at}.env[0].valueFrom.fieldRef`,
  },
  {
    name: "fieldRef when it is allowed",
    template: { container: { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } }] } },
    refused: "",
    features: { fieldRef: "Allowed" },
  },
  {
    name: "variables from nowhere",
    template: { container: { envFrom: [{ prefix: "A" }] } },
    refused: `expected exactly one, got neither: ${at}.envFrom.configMapRef, ${at}.envFrom.secretRef`,
  },
  {
    name: "variables from two places at once",
    template: { container: { envFrom: [{ configMapRef: { name: "a" }, secretRef: { name: "b" } }] } },
    refused: `expected exactly one, got both: ${at}.envFrom.configMapRef, ${at}.envFrom.secretRef`,
  },

  { name: "a port for gRPC", template: port({ name: "h2c", containerPort: 9000 }), refused: "" },
  {
    name: "any other port name",
    template: port({ name: "web", containerPort: 80 }),
    refused: `Port name web is not allowed: ${at}.ports\nName must be empty, or one of: 'h2c', 'http1'`,
  },
  {
    name: "UDP",
    template: port({ protocol: "UDP", containerPort: 80 }),
    refused: `invalid value: UDP: ${at}.ports.protocol`,
  },
  {
    name: "a host port",
    template: port({ containerPort: 80, hostPort: 80, hostIP: "1.2.3.4" }),
    refused: `must not set the field(s): ${at}.ports.hostIP, ${at}.ports.hostPort`,
  },
  {
    name: "a port beyond 65535",
    template: port({ containerPort: 70_000 }),
    refused: `expected 0 <= 70000 <= 65535: ${at}.ports.containerPort`,
  },
  {
    name: "a negative port",
    template: port({ containerPort: -1 }),
    refused: `expected 0 <= -1 <= 65535: ${at}.ports.containerPort`,
  },
  ...[8012, 8013, 8022, 9090, 9091, 8008].map((number) => ({
    name: `port ${number}`,
    template: port({ containerPort: number }),
    refused: `invalid value: ${number} is a reserved port: ${at}.ports.containerPort\n${number} is a reserved port, please use a different value`,
  })),
  { name: "port 8112, which is not reserved", template: port({ containerPort: 8112 }), refused: "" },
  {
    name: "two ports on one container",
    template: { container: { ports: [{ containerPort: 80 }, { containerPort: 81 }] } },
    refused:
      "more than one container port is set: spec.template.spec.containers[*].ports\nOnly a single port is allowed across all containers",
  },

  { name: "a sidecar", template: two(withPort, {}), refused: "" },
  {
    name: "several containers without a port",
    template: two({}, {}),
    refused: "missing field(s): spec.template.spec.containers[*].ports",
  },
  {
    name: "ports on both",
    template: two(withPort, withPort),
    refused:
      "more than one container port is set: spec.template.spec.containers[*].ports\nOnly a single port is allowed across all containers",
  },
  {
    name: "a sidecar where that is off",
    template: two(withPort, { image: "" }),
    refused: "multi-container is off, but found 2 containers: ",
    features: { multiContainer: "Disabled" },
  },
  {
    name: "a sidecar where that is only allowed",
    template: two(withPort, {}),
    refused: "multi-container is off, but found 2 containers: ",
    features: { multiContainer: "Allowed" },
  },

  {
    name: "init containers without their flag",
    template: init({ image, name: "i" }, { image, name: "j" }),
    refused:
      "must not set the field(s): spec.template.spec.initContainers\npod spec support for init-containers is off, but found 2 init containers: ",
  },
  {
    name: "init containers where they are only allowed",
    template: init({ image }),
    refused: "pod spec support for init-containers is off, but found 1 init containers: ",
    features: { initContainers: "Allowed" },
  },
  {
    name: "init containers with any ports",
    template: init({
      image,
      ports: [
        { name: "a", containerPort: 1 },
        { name: "b", containerPort: 2 },
      ],
    }),
    refused: "",
    features: { initContainers: "Enabled" },
  },
  {
    name: "an init container named as the other",
    template: { container: { name: "app" }, ...init({ image, name: "app" }) },
    refused: `duplicate container name "app": ${at}.name`,
    features: { initContainers: "Enabled" },
  },
  {
    name: "a probe and a hook on an init container",
    template: init({ image, name: "i", livenessProbe: { exec: {} }, lifecycle: { preStop: {} } }),
    refused: `field not allowed in an init container: ${at}.lifecycle, ${at}.livenessProbe\nmust not set the field(s): ${at}.lifecycle`,
    features: { initContainers: "Enabled" },
  },
  {
    name: "PORT in an init container",
    template: init({ image, env: [{ name: "PORT" }] }),
    refused: "",
    features: { initContainers: "Enabled" },
  },
];

test("containers of a Service", (t) => {
  for (const { name, template, refused, features = {} } of rows)
    t.equal(refusalOf(service(template), { platform: { features } }), refused, name);
  t.end();
});

test("a Revision's paths lack the template", (t) => {
  const { refused } = rows.find(({ name }) => name === "no image")!;
  t.equal(refusalOf(revision({ container: { image: "" } })), refused.replace("spec.template.", ""));
  t.end();
});
