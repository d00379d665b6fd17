import { test } from "tap";
import type { Features } from "../features.ts";
import { refusalOf, service, verdict, type Fields, type PlatformEdit, type Template } from "./samples.ts";
import { dns1123SubdomainRule } from "./names.ts";

const at = "spec.template.spec";
const context = `${at}.containers[0].securityContext`;
const max = 2_147_483_647;

interface Row {
  name: string;
  /** Beside the containers. */
  spec?: Fields;
  /** Of the container. */
  security?: Fields;
  refused: string;
  platform?: PlatformEdit;
}

const flagged: [field: keyof Features, value: unknown][] = [
  ["affinity", { nodeAffinity: {} }],
  ["topologySpreadConstraints", [{ maxSkew: 1 }]],
  ["hostAliases", [{ ip: "1.2.3.4" }]],
  ["nodeSelector", { disk: "ssd" }],
  ["tolerations", [{ key: "a" }]],
  ["runtimeClassName", "gvisor"],
  ["dnsPolicy", "Default"],
  ["dnsConfig", {}],
  ["shareProcessNamespace", false],
  ["hostIPC", true],
  ["hostPID", true],
  ["hostNetwork", true],
  ["priorityClassName", "high"],
  ["schedulerName", "mine"],
];
const secure = (securePodDefaults: Features["securePodDefaults"]): PlatformEdit => ({
  features: { securePodDefaults },
});
const flag = (features: Partial<Features>): PlatformEdit => ({ features });

const rows: Row[] = [
  ...flagged.map(([field, value]) => ({
    name: `${field} without its flag`,
    spec: { [field]: value },
    refused: `must not set the field(s): ${at}.${field}`,
  })),
  ...flagged.map(([field, value]) => ({
    name: `${field} where it is allowed`,
    spec: { [field]: value },
    refused: "",
    platform: flag({ [field]: "Allowed" }),
  })),
  { name: "host networking that is off anyway", spec: { hostNetwork: false }, refused: "" },
  {
    name: "fields that no Revision has",
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      activeDeadlineSeconds: 1,
      nodeName: "n",
      hostname: "h",
      subdomain: "s",
      priority: 1,
      readinessGates: [{}],
    },
    refused: `must not set the field(s): ${["activeDeadlineSeconds", "hostname", "nodeName", "priority", "readinessGates", "restartPolicy", "subdomain", "terminationGracePeriodSeconds"].map((field) => `${at}.${field}`).join(", ")}`,
  },
  {
    name: "a service account token",
    spec: { automountServiceAccountToken: true },
    refused: `must not set the field(s): ${at}.automountServiceAccountToken`,
  },
  { name: "no service account token", spec: { automountServiceAccountToken: false }, refused: "" },
  {
    name: "a service account that is no name",
    spec: { serviceAccountName: "A_b" },
    refused: `invalid value: A_b: ${at}.serviceAccountName\n${dns1123SubdomainRule}`,
  },
  {
    name: "a timeout over the limit",
    spec: { timeoutSeconds: 700 },
    refused: `expected 0 <= 700 <= 600: ${at}.timeoutSeconds`,
  },
  {
    name: "a negative timeout",
    spec: { timeoutSeconds: -1 },
    refused: `expected 0 <= -1 <= 600: ${at}.timeoutSeconds`,
  },
  { name: "a timeout at the limit", spec: { timeoutSeconds: 600 }, refused: "" },
  {
    name: "a timeout under a higher limit",
    spec: { timeoutSeconds: 700 },
    refused: "",
    platform: { defaults: { maxTimeoutSeconds: 700 } },
  },
  {
    name: "response and idle timeouts, which have no bounds",
    spec: { responseStartTimeoutSeconds: 9999, idleTimeoutSeconds: -1 },
    refused: "",
  },
  {
    name: "concurrency over the limit",
    spec: { containerConcurrency: 1001 },
    refused: `expected 0 <= 1001 <= 1000: ${at}.containerConcurrency`,
  },
  {
    name: "negative concurrency",
    spec: { containerConcurrency: -1 },
    refused: `expected 0 <= -1 <= 1000: ${at}.containerConcurrency`,
  },
  {
    name: "no limit to concurrency where there must be one",
    spec: { containerConcurrency: 0 },
    refused: `expected 1 <= 0 <= 1000: ${at}.containerConcurrency`,
    platform: { defaults: { allowContainerConcurrencyZero: false } },
  },

  {
    name: "a pod security context without its flag",
    spec: { securityContext: { runAsUser: 1 } },
    refused: `must not set the field(s): ${at}.securityContext, ${at}.securityContext.runAsUser`,
  },
  {
    name: "a pod security context",
    spec: {
      securityContext: {
        runAsUser: 1,
        runAsGroup: 1,
        runAsNonRoot: true,
        fsGroup: 1,
        supplementalGroups: [1],
        seccompProfile: { type: "Localhost" },
      },
    },
    refused: "",
    platform: flag({ securityContext: "Allowed" }),
  },
  {
    name: "the rest of a pod security context",
    spec: { securityContext: { sysctls: [{}], seLinuxOptions: {}, windowsOptions: {}, fsGroupChangePolicy: "Always" } },
    refused: `must not set the field(s): ${["fsGroupChangePolicy", "seLinuxOptions", "sysctls", "windowsOptions"].map((field) => `${at}.securityContext.${field}`).join(", ")}`,
    platform: flag({ securityContext: "Enabled" }),
  },
  {
    name: "ids of a pod out of range",
    spec: { securityContext: { runAsUser: -1, runAsGroup: max + 1, fsGroup: -1, supplementalGroups: [0, -1] } },
    refused: `expected 0 <= -1 <= ${max}: ${at}.securityContext.fsGroup, ${at}.securityContext.runAsUser, ${at}.securityContext.supplementalGroups[1]\nexpected 0 <= ${max + 1} <= ${max}: ${at}.securityContext.runAsGroup`,
    platform: flag({ securityContext: "Enabled" }),
  },
  {
    name: "opting out of a secure default",
    spec: { securityContext: { seccompProfile: { type: "Unconfined" } } },
    refused: "",
    platform: secure("AllowRootBounded"),
  },
  {
    name: "a profile of one's own under secure defaults",
    spec: { securityContext: { seccompProfile: { type: "Localhost" }, runAsNonRoot: false } },
    refused: `must not set the field(s): ${at}.securityContext.runAsNonRoot, ${at}.securityContext.seccompProfile`,
    platform: secure("Enabled"),
  },

  {
    name: "a privileged container",
    security: { privileged: true },
    refused: `must not set the field(s): ${context}.privileged`,
  },
  {
    name: "what a container's context may not have",
    security: { seLinuxOptions: {}, procMount: "Default" },
    refused: `must not set the field(s): ${context}.procMount, ${context}.seLinuxOptions`,
  },
  {
    name: "what it may",
    security: {
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsUser: max,
      runAsGroup: 0,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      seccompProfile: { type: "RuntimeDefault" },
      capabilities: { drop: ["ALL"] },
    },
    refused: "",
  },
  {
    name: "ids of a container out of range",
    security: { runAsUser: -1, runAsGroup: -1 },
    refused: `expected 0 <= -1 <= ${max}: ${context}.runAsGroup, ${context}.runAsUser`,
  },
  {
    name: "an added capability",
    security: { capabilities: { add: ["NET_ADMIN"] } },
    refused: `must not set the field(s): ${context}.capabilities.add`,
  },
  {
    name: "an added capability where that is only allowed",
    security: { capabilities: { add: ["NET_ADMIN"] } },
    refused: `must not set the field(s): ${context}.capabilities.add`,
    platform: flag({ addCapabilities: "Allowed" }),
  },
  {
    name: "an added capability with its flag",
    security: { capabilities: { add: ["NET_ADMIN"] } },
    refused: "",
    platform: flag({ addCapabilities: "Enabled" }),
  },
  {
    name: "low ports under secure defaults",
    security: { capabilities: { add: ["NET_BIND_SERVICE"] } },
    refused: "",
    platform: secure("Enabled"),
  },
  {
    name: "more than low ports under secure defaults",
    security: { capabilities: { add: ["NET_BIND_SERVICE", "NET_ADMIN"] } },
    refused: `must not set the field(s): ${context}.capabilities.add`,
    platform: secure("Enabled"),
  },
];

test("the pod of a Service", (t) => {
  for (const { name, spec = {}, security, refused, platform = {} } of rows) {
    const container = security === undefined ? {} : { securityContext: security };
    t.equal(refusalOf(service({ spec, container }), { platform }), refused, name);
  }
  t.end();
});

const insecure = (...fields: string[]) =>
  `Kubernetes default value is insecure, Knative may default this to secure in a future release: ${fields.join(", ")}`;
const open = ["allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccompProfile"];

test("warnings about what is left open", (t) => {
  const image = "dev.local/x:1";
  const of = (securityContext: Fields): Template => ({ container: { securityContext } });
  const closed = { allowPrivilegeEscalation: true, runAsNonRoot: false, seccompProfile: { type: "Unconfined" } };
  const cases: { name: string; template: Template; warnings: string[]; platform?: PlatformEdit }[] = [
    { name: "everything", template: {}, warnings: [insecure(...open.map((field) => `${context}.${field}`))] },
    {
      name: "nothing that was decided, whatever it is",
      template: of({ ...closed, capabilities: { drop: ["NET_RAW"] } }),
      warnings: [],
    },
    {
      name: "a profile without a type, capabilities of which none is dropped",
      template: of({ ...closed, seccompProfile: {}, capabilities: { drop: [] } }),
      warnings: [insecure(`${context}.capabilities.drop`, `${context}.seccompProfile.type`)],
    },
    {
      name: "all instead of ALL",
      template: of({ ...closed, capabilities: { drop: ["all"] } }),
      warnings: [`invalid value: all: ${context}.capabilities.drop\nMust be spelled as 'ALL'`],
    },
    {
      name: "every container",
      template: {
        containers: [
          { image, ports: [{ containerPort: 1 }], securityContext: { ...closed, capabilities: { drop: ["ALL"] } } },
          { image },
        ],
        spec: { initContainers: [{ image }] },
      },
      warnings: [
        insecure(
          ...["containers[1]", "initContainers[0]"].flatMap((where) =>
            open.map((field) => `${at}.${where}.securityContext.${field}`),
          ),
        ),
      ],
      platform: flag({ initContainers: "Enabled" }),
    },
    {
      name: "not what the pod decides",
      template: { spec: { securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } } } },
      warnings: [insecure(`${context}.allowPrivilegeEscalation`, `${context}.capabilities`)],
      platform: flag({ securityContext: "Enabled" }),
    },
    {
      name: "nothing under secure defaults",
      template: of({ capabilities: { drop: ["all"] } }),
      warnings: [],
      platform: secure("AllowRootBounded"),
    },
  ];
  for (const { name, template, warnings, platform = {} } of cases)
    t.same(verdict(service(template), { platform }), { refusal: "", warnings }, name);
  t.end();
});
