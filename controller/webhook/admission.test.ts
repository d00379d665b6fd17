import { test } from "tap";
import type { ConfigMap } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { defaulted, refusalOf, revision, service, verdict } from "../../api/validation/samples.ts";
import { parsePlatformConfig } from "../config/store.ts";
import {
  admitConfigMap,
  admitIfPodFits,
  admitIfValid,
  admitWithDefaults,
  checksumOf,
  type AdmissionRequest,
} from "./admission.ts";

const domain = "cluster.local";
const image = "dev.local/swell-queue-proxy:0.1.0";
const configOf = (features: Record<string, string> = {}) =>
  parsePlatformConfig(
    (name) =>
      name === "config-deployment" ? { "queue-sidecar-image": image } : name === "config-features" ? features : {},
    domain,
  );
const config = configOf();
const ask = (object: KubeObject | null, fields: Partial<AdmissionRequest> = {}): AdmissionRequest => ({
  uid: "7",
  operation: "CREATE",
  userInfo: { username: "ada" },
  object,
  ...fields,
});
const badRequest = (message: string) => ({
  uid: "7",
  allowed: false,
  status: { status: "Failure", code: 400, reason: "BadRequest", message },
});

type Operation = { op: string; path: string; value: unknown };
function patched(object: KubeObject, fields: Partial<AdmissionRequest> = {}): KubeObject {
  const { allowed, patchType, patch } = admitWithDefaults(ask(object, fields), config);
  if (!allowed) throw new Error("refused");
  const result = structuredClone(object) as unknown as Record<string, unknown>;
  if (patch === undefined) return result as unknown as KubeObject;
  if (patchType !== "JSONPatch") throw new Error("no type");
  for (const { op, path, value } of JSON.parse(Buffer.from(patch, "base64").toString()) as Operation[]) {
    const keys = path.slice(1).split("/");
    const last = keys.pop()!;
    let place = result;
    for (const key of keys) place = place[key] as Record<string, unknown>;
    if (op === "replace" && !(last in place)) throw new Error(`nothing to replace at ${path}`);
    place[last] = value;
  }
  return result as unknown as KubeObject;
}

test("the patch leads to the object with its defaults", (t) => {
  const given = service({ container: { env: [], resources: { limits: { cpu: "1000m" } } } });
  const made = patched(given);
  t.match(made, {
    metadata: { name: "hello", annotations: { "serving.knative.dev/creator": "ada" } },
    spec: {
      template: { metadata: {}, spec: { timeoutSeconds: 300, containers: [{ resources: { limits: { cpu: "1" } } }] } },
    },
  });
  const [container] = (made as typeof given & { spec: { template: { spec: { containers: object[] } } } }).spec.template
    .spec.containers;
  t.notOk("env" in (container ?? {}), "what is left out is taken away");
  t.equal(
    admitWithDefaults(ask(made, { operation: "UPDATE", oldObject: made }), config).patch,
    undefined,
    "and there is nothing more to do",
  );
  t.end();
});

test("a Go client that writes back what it read changes nothing", (t) => {
  // What its types cannot leave out: it reads this into the object and sends it along.
  const written = (object: KubeObject): KubeObject => {
    const copy = structuredClone(object) as KubeObject & { spec: { template: { metadata?: object } } };
    copy.spec.template.metadata = { ...copy.spec.template.metadata, creationTimestamp: null };
    return copy;
  };
  const stored = patched(service());
  t.same(patched(written(service())), stored, "it created it");
  const update = { operation: "UPDATE", oldObject: stored } as const;
  const { spec } = patched(written(stored), update) as KubeObject & { spec: object };
  t.strictSame(spec, (stored as typeof stored & { spec: object }).spec, "it wrote it again");
  t.end();
});

test("what is not defaulted", (t) => {
  t.same(admitWithDefaults(ask(null, { operation: "DELETE", oldObject: service() }), config), {
    uid: "7",
    allowed: true,
  });
  t.same(admitWithDefaults(ask(null), config), badRequest("mutation failed: the new object may not be nil"));
  const status = ask(service(), { operation: "UPDATE", oldObject: service(), subResource: "status" });
  t.same(admitWithDefaults(status, config), { uid: "7", allowed: true });
  t.end();
});

test("validation", (t) => {
  const bad = revision({ container: { image: "" } });
  t.match(admitIfValid(ask(defaulted(bad)), config, domain), badRequest(`validation failed: ${refusalOf(bad)}`));
  const bare = admitIfValid(ask(bad), config, domain);
  t.match(
    bare,
    badRequest("validation failed: missing field(s): spec.containers[0]"),
    "an empty container, without defaults",
  );
  t.same(
    admitIfValid(ask(null, { operation: "DELETE", oldObject: bad }), config, domain),
    { uid: "7", allowed: true },
    "anything can be deleted",
  );
  t.same(admitIfValid(ask(null, { operation: "CONNECT" }), config, domain), { uid: "7", allowed: true });
  t.same(admitIfValid(ask(null), config, domain), badRequest("validation failed: the new object may not be nil"));
  const secure = configOf({ "secure-pod-defaults": "enabled" });
  t.same(admitIfValid(ask(defaulted(service())), secure, domain), { uid: "7", allowed: true });
  t.end();
});

test("a warning of two lines is two warnings", (t) => {
  const given = service({ container: { securityContext: { capabilities: { drop: ["all"] } } } });
  const { allowed, warnings = [] } = admitIfValid(ask(defaulted(given)), config, domain);
  t.ok(allowed);
  t.same(
    warnings,
    verdict(given).warnings.flatMap((warning) => warning.split("\n")),
  );
  t.ok(warnings.includes("Must be spelled as 'ALL'"));
  t.end();
});

test("a dry run asks about the pod", async (t) => {
  const given = service({
    container: { ports: [{ name: "h2c", containerPort: 80 }], livenessProbe: { httpGet: { port: 0 } } },
    spec: { containerConcurrency: 1, serviceAccountName: "x" },
  });
  const dryRun = ask(given, { dryRun: true });
  const asked: unknown[] = [];
  const refuse = async (pod: unknown) => {
    asked.push(pod);
    return 'pods "x" is forbidden: no';
  };
  const valid = { uid: "7", allowed: true, warnings: ["w"] };
  const refused = await admitIfPodFits(dryRun, valid, refuse);
  t.same(refused, {
    ...badRequest('validation callback failed: dry run failed with pods "x" is forbidden: no: spec.template'),
    warnings: ["w"],
  });
  t.same(asked, [
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { generateName: "dry-run-validation", namespace: "default" },
      spec: {
        serviceAccountName: "x",
        containers: [
          {
            image: "dev.local/hello:1",
            ports: [{ name: "user-port", containerPort: 80 }],
            livenessProbe: { httpGet: { port: 80 } },
          },
        ],
      },
    },
  ]);
  const fail = () => Promise.reject(new Error("connection refused"));
  t.equal((await admitIfPodFits(dryRun, valid, fail)).allowed, false, "no answer refuses");
  t.equal((await admitIfPodFits(dryRun, valid, async () => undefined)).allowed, true);

  const child = { ...given, kind: "Configuration" };
  const owned = { ...child, metadata: { ...given.metadata, labels: { "serving.knative.dev/service": "hello" } } };
  const cases: [string, AdmissionRequest, boolean, boolean?][] = [
    ["a Configuration", ask(child, { dryRun: true }), false],
    ["a Configuration of a Service, whose Service was asked about", ask(owned, { dryRun: true }), true],
    ["a Revision", ask(revision(), { dryRun: true }), true],
    ["a write that is meant", ask(given), true],
    ["a status", ask(given, { dryRun: true, operation: "UPDATE", subResource: "status" }), true],
  ];
  for (const [name, request, allowed] of cases)
    t.equal((await admitIfPodFits(request, valid, refuse)).allowed, allowed, name);
  const before = asked.length;
  await admitIfPodFits(dryRun, { ...valid, allowed: false }, refuse);
  t.equal(asked.length, before, "what is refused already is not asked about");
});

const configMap = (
  name: string,
  data: Record<string, string>,
  annotations: Record<string, string> = {},
): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "knative-serving", annotations },
  data,
});

test("config maps", (t) => {
  const example = "################\n\n\nkey: value\r\n";
  const right = { "knative.dev/example-checksum": checksumOf(example) };
  const wrong = { "knative.dev/example-checksum": "00000000" };
  const edited =
    'the update modifies a key in "_example" which is probably not what you want. Instead, copy the respective setting to the top-level of the ConfigMap, directly below "data"';
  const cases: { name: string; given: ConfigMap; refused?: string }[] = [
    { name: "nothing set", given: configMap("config-defaults", {}) },
    { name: "an example as installed", given: configMap("config-gc", { _example: example }, right) },
    { name: "an edited example", given: configMap("config-gc", { _example: example }, wrong), refused: edited },
    {
      name: "an edited example of the bridge to cert-manager",
      given: configMap("config-certmanager", { _example: example }, wrong),
      refused: edited,
    },
    { name: "an edited example of somebody else", given: configMap("config-mine", { _example: example }, wrong) },
    { name: "an example without a checksum", given: configMap("config-gc", { _example: example }) },
    { name: "a checksum without an example", given: configMap("config-gc", {}, wrong) },
    { name: "anything of somebody else", given: configMap("config-mine", { "stable-window": "x" }) },
    {
      name: "a timeout over the longest",
      given: configMap("config-defaults", { "revision-timeout-seconds": "700" }),
      refused: "revision-timeout-seconds (700) cannot be greater than max-revision-timeout-seconds (600)",
    },
    {
      name: "an idle timeout over the timeout",
      given: configMap("config-defaults", { "revision-idle-timeout-seconds": "301" }),
      refused: "revision-idle-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)",
    },
    {
      name: "a response timeout over the timeout",
      given: configMap("config-defaults", { "revision-response-start-timeout-seconds": "301" }),
      refused: "revision-response-start-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)",
    },
    {
      name: "no number",
      given: configMap("config-defaults", { "container-concurrency": "many" }),
      refused: 'failed to parse "container-concurrency": strconv.ParseInt: parsing "many": invalid syntax',
    },
    {
      name: "no boolean",
      given: configMap("config-network", { "autocreate-cluster-domain-claims": "yes" }),
      refused: 'failed to parse "autocreate-cluster-domain-claims": strconv.ParseBool: parsing "yes": invalid syntax',
    },
    {
      name: "no duration",
      given: configMap("config-leader-election", { "lease-duration": "1" }),
      refused: 'failed to parse "lease-duration": time: invalid duration "1"',
    },
    {
      name: "a flag that is none, which is ignored",
      given: configMap("config-features", { "multi-container": "Perhaps" }),
    },
    {
      name: "no sidecar",
      given: configMap("config-deployment", {}),
      refused: "queue-sidecar-image cannot be empty or unset",
    },
    {
      name: "issuers that are none, all of them",
      given: configMap("config-certmanager", {
        issuerRef: "letsencrypt",
        systemInternalIssuerRef: "{ nam: x, kind: 1 }",
      }),
      refused: [
        'failed to parse "issuerRef": not a reference to an issuer',
        'failed to parse "systemInternalIssuerRef": unknown field "nam"',
        'failed to parse "systemInternalIssuerRef": kind is not a text',
      ].join("\n"),
    },
    { name: "an issuer", given: configMap("config-certmanager", { issuerRef: "kind: Issuer\nname: own\n" }) },
    {
      name: "a selector that picks by no operator",
      given: configMap("config-network", {
        "namespace-wildcard-cert-selector": "matchExpressions: [{ key: team, operator: Is, values: [a] }]",
      }),
      refused:
        'failed to parse "namespace-wildcard-cert-selector": matchExpressions[0]: "Is" is not a valid label selector operator',
    },
    { name: "a selector of all", given: configMap("config-network", { "namespace-wildcard-cert-selector": "{}" }) },
    { name: "a domain", given: configMap("config-domain", { "example.com": "" }) },
    {
      name: "logging that is no JSON is refused",
      given: configMap("config-logging", { "zap-logger-config": "{" }),
      refused: "zap-logger-config: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
    },
    {
      name: "an unknown profiling setting",
      given: configMap("config-observability", { "runtime-profiling": "some" }),
      refused: 'unsupported profiling setting "some"',
    },
  ];
  for (const { name, given, refused } of cases)
    for (const operation of ["CREATE", "UPDATE"] as const) {
      const answer = admitConfigMap(ask(given, { operation }), domain);
      t.same(
        answer,
        refused === undefined ? { uid: "7", allowed: true } : badRequest(`validation failed: ${refused}`),
        `${operation}: ${name}`,
      );
    }
  t.same(admitConfigMap(ask(null, { operation: "DELETE" }), domain), { uid: "7", allowed: true });
  const autoscaler = admitConfigMap(ask(configMap("config-autoscaler", { "stable-window": "5s" })), domain);
  t.match(autoscaler.status?.message, /^validation failed: stable-window/u);
  t.end();
});

test("checksums of examples", (t) => {
  // Known values of the check that the installed manifests carry.
  t.equal(checksumOf(""), "00000000");
  t.equal(checksumOf("a\nb"), checksumOf("\n  a\r\n\n\nb\n"));
  t.equal(checksumOf("123456789"), "cbf43926");
  t.end();
});
