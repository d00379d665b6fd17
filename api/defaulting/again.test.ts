/** Defaults of generated templates. */
import * as fc from "fast-check";
import { test } from "tap";
import type { KubeObject } from "../meta.ts";
import { configuration, defaulted, service } from "../validation/samples.ts";

const text = fc.constantFrom("", "a", "b", "user-container", "user-container-0");
const probe = fc.record(
  {
    httpGet: fc.record({ path: text, port: fc.constantFrom<number | string>(0, 80, "http") }, { requiredKeys: [] }),
    grpc: fc.record({ port: fc.nat(9) }),
    periodSeconds: fc.nat(2),
    timeoutSeconds: fc.nat(2),
    failureThreshold: fc.nat(2),
    successThreshold: fc.nat(2),
  },
  { requiredKeys: [] },
);
const container = fc.record(
  {
    name: text,
    image: text,
    args: fc.array(text, { maxLength: 2 }),
    env: fc.array(fc.record({ name: text, value: text }), { maxLength: 2 }),
    ports: fc.array(fc.record({ containerPort: fc.constantFrom(0, 80, 8080), name: text }), { maxLength: 2 }),
    resources: fc.record(
      {
        limits: fc.dictionary(fc.constantFrom("cpu", "memory"), fc.constantFrom("1000m", "1024Mi", "0.5", "1e3", "x")),
      },
      { requiredKeys: [] },
    ),
    readinessProbe: probe,
    livenessProbe: probe,
    securityContext: fc.record(
      {
        runAsNonRoot: fc.boolean(),
        capabilities: fc.constantFrom({}, { drop: [] }, { add: ["X"] }),
        seccompProfile: fc.record({ type: text }),
      },
      { requiredKeys: [] },
    ),
    volumeMounts: fc.array(fc.record({ name: text, mountPath: text, readOnly: fc.boolean() }), { maxLength: 2 }),
    stdin: fc.boolean(),
  },
  { requiredKeys: [] },
);
const spec = fc.record(
  {
    containers: fc.array(container, { maxLength: 3 }),
    initContainers: fc.array(container, { maxLength: 2 }),
    volumes: fc.array(
      fc.record({ name: text, emptyDir: fc.constant({}), secret: fc.constant({}) }, { requiredKeys: ["name"] }),
      { maxLength: 2 },
    ),
    timeoutSeconds: fc.constantFrom(0, 5, 1000),
    containerConcurrency: fc.constantFrom(0, 5),
    nodeSelector: fc.dictionary(text, text),
    serviceAccountName: text,
    securityContext: fc.record(
      { runAsNonRoot: fc.boolean(), seccompProfile: fc.record({ type: text }) },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["containers"] },
);
const traffic = fc.array(
  fc.record(
    { revisionName: text, tag: text, percent: fc.nat(100), latestRevision: fc.boolean() },
    { requiredKeys: [] },
  ),
  { maxLength: 2 },
);
const level = fc.constantFrom("Disabled" as const, "AllowRootBounded" as const, "Enabled" as const);

test("defaults of what has its defaults change nothing", (t) => {
  fc.assert(
    fc.property(spec, traffic, level, text, (templateSpec, targets, securePodDefaults, name) => {
      const platform = {
        features: { securePodDefaults },
        defaults: { idleTimeoutSeconds: 10, limits: { cpu: "1", memory: "2Gi" }, requests: { cpu: "100m" } },
      };
      for (const make of [service, configuration]) {
        const template = { metadata: { name }, spec: templateSpec };
        // As it comes over the network.
        const given = JSON.parse(JSON.stringify({ ...make(), spec: { template, traffic: targets } })) as KubeObject;
        const before = structuredClone(given);
        const once = defaulted(given, { platform });
        t.strictSame(given, before, "the object given stays as it was");
        t.strictSame(defaulted(once, { platform }), once, "on a create");
        t.strictSame(defaulted(once, { old: once, username: "bob", platform }), once, "on an update");
      }
    }),
    { numRuns: 150 },
  );
  t.end();
});
