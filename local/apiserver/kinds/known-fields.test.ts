import { test } from "tap";
import type { KubeObject } from "../../../api/meta.ts";
import { createKindRegistry } from "./index.ts";

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const registry = createKindRegistry();
const deployment = registry.findByKind("apps", "v1", "Deployment");
function decode(spec: object) {
  if (deployment === undefined) throw new Error("no Deployment");
  return deployment.prune({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web" }, spec } as KubeObject);
}
const specOf = (object: KubeObject): unknown => (object as unknown as { spec: unknown }).spec;
const container = (fields: object) => ({
  template: { spec: { containers: [{ name: "a" }, { name: "b", ...fields }] } },
});

test("unknown fields are named and gone", (t) => {
  const result = decode({ replicsa: 1, ...container({ imagee: "x", resources: { limits: { cpu: 0.1 } } }) });
  t.same(
    result.unknownFields,
    ["replicsa", "template.spec.containers[1].imagee"].map((path) => `spec.${path}`),
  );
  t.same(
    specOf(result.object),
    container({ resources: { limits: { cpu: "100m" } } }),
    "and a quantity is in its usual form",
  );
  t.end();
});

test("null reads as absent, embedded objects are whatever they are", (t) => {
  const result = decode({ replicas: null, template: { metadata: { creationTimestamp: null } } });
  t.same(specOf(result.object), { template: { metadata: {} } });
  t.end();
});

test("a wrong type is refused in the API's words", (t) => {
  const cases = [
    {
      name: "a number for an environment value",
      spec: container({ env: [{ name: "A", value: 1 }] }),
      want: 'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string',
    },
    {
      name: "text for replicas",
      spec: { replicas: "2" },
      want: "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    },
    {
      name: "more replicas than 32 bits hold",
      spec: { replicas: 2 ** 31 },
      want: "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
    },
    {
      name: "an object for a list",
      spec: { template: { spec: { containers: {} } } },
      want: "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
    },
    {
      name: "a quantity that is none",
      spec: container({ resources: { limits: { cpu: "lots" } } }),
      want: "quantities must match the regular expression",
    },
  ];
  for (const { name, spec, want } of cases)
    t.throws(() => decode(spec), { name: "DecodeError", message: new RegExp(escape(want)) }, name);
  t.end();
});
