/** What a cluster is asked to take: everything once, in order, and pods that the restricted standard admits. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "tap";
import { parse, parseAllDocuments } from "yaml";
import type { Container, Deployment, PodSpec, Service } from "../api/core.ts";
import type { KubeObject } from "../api/meta.ts";
import packageJson from "../package.json" with { type: "json" };

const root = import.meta.dirname;
const all = parseAllDocuments(readFileSync(path.join(root, "swell.yaml"), "utf8")).map(
  (document) => document.toJS() as KubeObject,
);
const named = ({ kind, metadata }: KubeObject): string => `${kind} ${metadata.name}`;
const ofKind = <T extends KubeObject>(kind: string): T[] => all.filter((object) => object.kind === kind) as T[];
const deployments = ofKind<Deployment>("Deployment");

test("one file holds every manifest, and kustomization lists them all", (t) => {
  const files = ["crds", "core"].flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((file) => `${folder}/${file}`),
  );
  const { resources } = parse(readFileSync(path.join(root, "kustomization.yaml"), "utf8")) as { resources: string[] };
  t.same(resources.toSorted(), files.sort());
  t.equal(new Set(all.map(named)).size, all.length, "nothing twice");
  const order = all.map(({ kind }) => kind);
  t.equal(order[0], "Namespace");
  t.ok(order.lastIndexOf("CustomResourceDefinition") < order.indexOf("Deployment"));
  t.end();
});

test("the Deployments are the programs there are", (t) => {
  t.same(deployments.map(named).sort(), [
    "Deployment activator",
    "Deployment autoscaler",
    "Deployment autoscaler-hpa",
    "Deployment controller",
    "Deployment webhook",
  ]);
  t.end();
});

/** Pod Security Standards, profile restricted, of Kubernetes 1.34: what of it a pod of ours can break. */
function breaches(spec: PodSpec): string[] {
  const found: string[] = [];
  const pod = (spec.securityContext ?? {}) as { runAsNonRoot?: boolean; seccompProfile?: { type?: string } };
  for (const field of ["hostNetwork", "hostPID", "hostIPC"] as const)
    if ((spec as unknown as Record<string, unknown>)[field] === true) found.push(field);
  const kinds = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
  ];
  for (const volume of spec.volumes ?? [])
    if (!kinds.some((kind) => kind in volume)) found.push(`volume ${volume.name}`);
  for (const container of [...spec.containers, ...(spec.initContainers ?? [])] as Container[]) {
    const context = (container.securityContext ?? {}) as {
      privileged?: boolean;
      allowPrivilegeEscalation?: boolean;
      runAsNonRoot?: boolean;
      runAsUser?: number;
      seccompProfile?: { type?: string };
      capabilities?: { add?: string[]; drop?: string[] };
      readOnlyRootFilesystem?: boolean;
    };
    const broken = (what: string): number => found.push(`${container.name}: ${what}`);
    if (context.privileged === true) broken("privileged");
    if (context.allowPrivilegeEscalation !== false) broken("allowPrivilegeEscalation");
    if ((context.runAsNonRoot ?? pod.runAsNonRoot) !== true || context.runAsUser === 0) broken("runAsNonRoot");
    if (!["RuntimeDefault", "Localhost"].includes((context.seccompProfile ?? pod.seccompProfile)?.type ?? ""))
      broken("seccompProfile");
    if (context.capabilities?.drop?.includes("ALL") !== true) broken("capabilities.drop");
    if ((context.capabilities?.add ?? []).some((capability) => capability !== "NET_BIND_SERVICE"))
      broken("capabilities.add");
    if (container.ports?.some((port) => "hostPort" in port) === true) broken("hostPort");
    // Not of the standard, but of ours.
    if (context.readOnlyRootFilesystem !== true) broken("readOnlyRootFilesystem");
    if (container.resources?.requests === undefined || container.resources.limits === undefined) broken("resources");
  }
  return found;
}
for (const deployment of deployments)
  test(`${named(deployment)} keeps to the restricted standard`, (t) => {
    t.same(breaches(deployment.spec.template.spec), []);
    t.end();
  });

test("selectors find the pods they mean", (t) => {
  const labelled = deployments.map(({ spec }) => spec.template.metadata?.labels ?? {});
  const finds = (selector: Record<string, string> = {}): boolean =>
    labelled.some((labels) => Object.entries(selector).every(([key, value]) => labels[key] === value));
  for (const service of ofKind<Service>("Service")) t.ok(finds(service.spec.selector), named(service));
  for (const budget of ofKind<KubeObject & { spec: { selector: { matchLabels: Record<string, string> } } }>(
    "PodDisruptionBudget",
  ))
    t.ok(finds(budget.spec.selector.matchLabels), named(budget));
  for (const scaler of ofKind<KubeObject & { spec: { scaleTargetRef: { name: string } } }>("HorizontalPodAutoscaler"))
    t.ok(
      deployments.some(({ metadata }) => metadata.name === scaler.spec.scaleTargetRef.name),
      named(scaler),
    );
  t.end();
});

test("everything says what it belongs to, in which version", (t) => {
  for (const object of all) {
    const { labels = {} } = object.metadata;
    t.equal(labels["app.kubernetes.io/name"], "knative-serving", named(object));
    const version = labels["app.kubernetes.io/version"];
    t.ok(version === undefined || version === packageJson.version, named(object));
  }
  for (const { spec } of deployments)
    for (const { image = "" } of spec.template.spec.containers)
      t.match(image, new RegExp(`:${packageJson.version}$`, "u"));
  t.end();
});
