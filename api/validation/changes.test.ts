import { test } from "tap";
import type { KubeObject, ObjectMeta } from "../meta.ts";
import {
  configuration,
  defaulted,
  domainMapping,
  internal,
  refusalOf,
  revision,
  route,
  service,
  type Fields,
  type Template,
} from "./samples.ts";
import { validate } from "./kinds.ts";
import { platform } from "./samples.ts";

const creator = "serving.knative.dev/creator";
const modifier = "serving.knative.dev/lastModifier";
const nameAt = "spec.template.metadata.name";
/** As it lies in the store. */
const stored = (object: KubeObject): KubeObject => defaulted(object, { username: "ada" });

test("a template that names its Revision", (t) => {
  const before = { metadata: { name: "hello-v1" }, container: { image: "dev.local/a:1" } };
  const change = (go: string, from: string, to: string) =>
    `Saw the following changes without a name change (-old +new): ${nameAt}\n{*v1.RevisionTemplateSpec}.${go}:\n\t-: ${from}\n\t+: ${to}\n`;
  const image = change("Spec.PodSpec.Containers[0].Image", '"dev.local/a:1"', '"dev.local/a:2"');
  const cases: { name: string; after: (template: Template) => Template; refused: string }[] = [
    { name: "stays as it was", after: (same) => same, refused: "" },
    {
      name: "changes its image",
      after: (same) => ({ ...same, container: { image: "dev.local/a:2" } }),
      refused: image,
    },
    {
      name: "changes its image and its name",
      after: () => ({ metadata: { name: "hello-v2" }, container: { image: "dev.local/a:2" } }),
      refused: "",
    },
    {
      name: "changes its image and drops its name",
      after: () => ({ container: { image: "dev.local/a:2" } }),
      refused: "",
    },
    {
      name: "changes an annotation",
      after: (same) => ({ ...same, metadata: { name: "hello-v1", annotations: { a: "b" } } }),
      refused: change("ObjectMeta.Annotations", '"<nil>"', '"{a:b}"'),
    },
    {
      name: "changes its concurrency",
      after: (same) => ({ ...same, spec: { containerConcurrency: 5 } }),
      refused: change("Spec.ContainerConcurrency", '"0"', '"5"').replace("{*", "*{*"),
    },
    {
      name: "gets another service account",
      after: (same) => ({ ...same, spec: { serviceAccountName: "x" } }),
      refused: change("Spec.PodSpec.ServiceAccountName", '""', '"x"'),
    },
  ];
  for (const { name, after, refused } of cases)
    for (const make of [service, configuration]) {
      const old = stored(make(before));
      // Sent back as read, with the edit.
      const edited = structuredClone(old) as ReturnType<typeof make>;
      const { spec, metadata, container } = after(before);
      const template = edited.spec["template"] as { metadata: Fields; spec: Fields & { containers: Fields[] } };
      template.metadata = metadata ?? {};
      Object.assign(template.spec, spec);
      Object.assign(template.spec.containers[0]!, container);
      t.equal(refusalOf(edited, { old }), refused, `${edited.kind}: ${name}`);
    }
  t.end();
});

test("a template is the same in another spelling", (t) => {
  const old = stored(
    service({ metadata: { name: "hello-v1" }, container: { resources: { limits: { cpu: "1" } } } }),
  ) as ReturnType<typeof service>;
  const edited = structuredClone(old);
  const template = edited.spec["template"] as { spec: { containers: Fields[] } };
  Object.assign(template.spec.containers[0]!, {
    resources: { limits: { cpu: "1000m" } },
    env: [],
    command: null,
    stdin: false,
  });
  t.equal(refusalOf(edited, { old }), "");
  t.end();
});

test("the spec of a Revision", (t) => {
  const old = stored(
    revision({ container: { image: "dev.local/a:1", readinessProbe: { httpGet: { path: "/a" } } } }),
  ) as ReturnType<typeof revision>;
  const edit = (fields: Fields, container: Fields = {}, metadata: ObjectMeta = {}): KubeObject => {
    const [first] = old.spec["containers"] as Fields[];
    return {
      ...old,
      metadata: { ...old.metadata, ...metadata },
      spec: { ...old.spec, ...fields, containers: [{ ...first, ...container }] },
    } as KubeObject;
  };
  const head = "Immutable fields changed (-old +new): spec\n";
  t.equal(refusalOf(edit({}), { old }), "", "stays");
  t.equal(
    refusalOf(edit({}, {}, { labels: { a: "b" }, annotations: { a: "b" } }), { old }),
    "",
    "its labels and annotations do not",
  );
  t.equal(
    refusalOf(edit({}, { image: "dev.local/a:2" }), { old }),
    `${head}{v1.RevisionSpec}.PodSpec.Containers[0].Image:\n\t-: "dev.local/a:1"\n\t+: "dev.local/a:2"\n`,
  );
  t.equal(
    refusalOf(edit({ containerConcurrency: 1 }), { old }),
    `${head}*{v1.RevisionSpec}.ContainerConcurrency:\n\t-: "0"\n\t+: "1"\n`,
  );
  t.equal(
    refusalOf(
      edit(
        { serviceAccountName: "x" },
        { readinessProbe: { httpGet: { path: "/b", port: 0 }, successThreshold: 1 } },
        { name: "A" },
      ),
      { old },
    ),
    `${head}{v1.RevisionSpec}.PodSpec.Containers[0].ReadinessProbe.ProbeHandler.HTTPGet.Path:\n\t-: "/a"\n\t+: "/b"\n{v1.RevisionSpec}.PodSpec.ServiceAccountName:\n\t-: ""\n\t+: "x"\n`,
    "is named field by field, and nothing else is said",
  );
  const strict = { defaults: { maxTimeoutSeconds: 10 } };
  t.equal(refusalOf(edit({}), { old, platform: strict }), "", "is not measured by today's limits");
  t.end();
});

test("who made it, who changed it", (t) => {
  const bound = { traffic: [{ revisionName: "r", percent: 100, latestRevision: false }] };
  const makers: Record<string, (metadata: ObjectMeta) => KubeObject> = {
    Service: (metadata) => service({}, metadata),
    Configuration: (metadata) => configuration({}, metadata),
    Route: (metadata) => route(bound.traffic, metadata),
    DomainMapping: (metadata) => domainMapping({}, metadata),
  };
  const owner = [{ apiVersion: "serving.knative.dev/v1", kind: "Service", name: "s", uid: "u" }];
  for (const [kind, make] of Object.entries(makers)) {
    const old = stored(make({}));
    const edit = (annotations: Record<string, string>): KubeObject => ({
      ...old,
      metadata: { ...old.metadata, annotations: { ...old.metadata.annotations, ...annotations } },
    });
    const to = "metadata.annotations";
    t.equal(refusalOf(edit({ a: "b" }), { old, username: "bob" }), "", `${kind}: another annotation`);
    t.equal(
      refusalOf(edit({ [creator]: "eve" }), { old }),
      `annotation value is immutable: ${to}.${creator}`,
      `${kind}: another creator`,
    );
    t.equal(
      refusalOf({ ...old, metadata: { ...old.metadata, annotations: { [modifier]: "ada" } } }, { old }),
      `annotation value is immutable: ${to}.${creator}`,
      `${kind}: no creator any more`,
    );
    t.equal(
      refusalOf(edit({ [modifier]: "eve" }), { old }),
      `invalid value: eve: ${to}.${modifier}`,
      `${kind}: another modifier who changed nothing`,
    );
    const owned = {
      ...edit({ [creator]: "eve", [modifier]: "eve" }),
      metadata: { ...edit({ [creator]: "eve" }).metadata, ownerReferences: owner },
    };
    const inherits = kind === "Configuration" || kind === "Route";
    t.equal(refusalOf(owned, { old }) === "", inherits, `${kind}: what an owner says of it`);
  }
  t.end();
});

test("a change of the status alone is never refused", (t) => {
  // Nothing about these would pass on its own.
  const bad = [
    service({ container: { image: "" } }, { name: "A" }),
    configuration({ container: { image: "" } }, { name: "A" }),
    revision({ container: { image: "" } }, { name: "A" }),
    route([], { name: "A" }),
    domainMapping({ group: "x" }, { name: "a" }),
    ...["PodAutoscaler", "Metric", "Ingress", "ServerlessService", "Certificate"].map((kind) => internal(kind, {})),
  ];
  for (const old of bad) {
    t.not(refusalOf(old), "", `${old.kind} is refused when it is made`);
    const object = { ...old, status: { observedGeneration: 2 } } as KubeObject;
    const request = { object, old, subresource: "status", clusterDomain: "cluster.local" };
    t.equal(validate(request, platform()).refusal, "", `${old.kind}: its status is not`);
    t.same(defaulted(object, { old, subresource: "status" }), object, `${old.kind}: nothing is filled in`);
  }
  t.end();
});
