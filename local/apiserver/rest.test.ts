import { test, type Test } from "tap";
import {
  configMaps,
  customResourceDefinitions,
  deployments,
  namespaces,
  pods,
  type ConfigMap,
  type Pod,
  type Scale,
} from "../../api/core.ts";
import type { KubeObject, OwnerReference } from "../../api/meta.ts";
import { gadget, gadgetCrd, gadgets, restWithGadgets, until, type Gadget } from "./rest-fixture.ts";

const configMap = (name: string, more: Partial<ConfigMap["metadata"]> = {}): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default", ...more },
});
const pod = (name: string, nodeName?: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: { containers: [{ name: "c", image: "i" }], ...(nodeName === undefined ? {} : { nodeName }) },
});
const refused = (t: Test, call: Promise<unknown>, code: number, message: string | RegExp): Promise<unknown> =>
  t.rejects(call, { code, message });

test("a write counts what it changes", async (t) => {
  const { client } = await restWithGadgets(t);
  const made = await client.create(gadgets, { ...gadget("a"), status: { ready: true } });
  t.match(
    made,
    { metadata: { generation: 1, uid: /^[0-9a-f-]{36}$/ }, spec: { size: 1, color: "red" } },
    "defaults are filled in",
  );
  t.equal(made.status, undefined, "a status comes by its own door only");
  t.ok(Object.isFrozen(made.spec), "what comes out is frozen");

  const labelled = await client.update(gadgets, { ...made, metadata: { ...made.metadata, labels: { x: "1" } } });
  t.equal(labelled.metadata.generation, 1, "labels are no new generation");
  t.not(labelled.metadata.resourceVersion, made.metadata.resourceVersion);

  const resized = await client.patch<Gadget>(gadgets, "a", "default", { is: "merge", body: { spec: { size: 2 } } });
  t.equal(resized.metadata.generation, 2);

  const ready = await client.update(
    gadgets,
    { ...resized, spec: { size: 99 }, metadata: { ...resized.metadata, labels: {} }, status: { ready: true } },
    { subresource: "status" },
  );
  t.match(ready, { metadata: { generation: 2, labels: { x: "1" } }, spec: { size: 2 }, status: { ready: true } });

  const same = await client.update(gadgets, ready);
  t.equal(same.metadata.resourceVersion, ready.metadata.resourceVersion, "a write that changes nothing is none");

  const dry = await client.patch<Gadget>(
    gadgets,
    "a",
    "default",
    { is: "merge", body: { spec: { size: 7 } } },
    { dryRun: true },
  );
  t.match(dry, { spec: { size: 7 }, metadata: { generation: 3 } });
  t.equal((await client.get<Gadget>(gadgets, "a", "default")).spec.size, 2, "a dry run stores nothing");
});

test("refusals have Kubernetes' words", async (t) => {
  const { client } = await restWithGadgets(t);
  const made = await client.create(gadgets, gadget("a"));
  await client.patch(gadgets, "a", "default", { is: "merge", body: { spec: { size: 5 } } });
  await refused(t, client.create(gadgets, gadget("a")), 409, 'gadgets.example.com "a" already exists');
  await refused(t, client.get(gadgets, "b", "default"), 404, 'gadgets.example.com "b" not found');
  await refused(t, client.get(configMaps, "b", "default"), 404, 'configmaps "b" not found');
  await refused(
    t,
    client.update(gadgets, made),
    409,
    'Operation cannot be fulfilled on gadgets.example.com "a": the object has been modified; please apply your changes to the latest version and try again',
  );
  await refused(
    t,
    client.update(gadgets, gadget("a")),
    422,
    /metadata.resourceVersion: Invalid value: 0: must be specified for an update/,
  );
  await refused(
    t,
    client.create(gadgets, { ...gadget("c"), spec: {} }),
    422,
    'Gadget.example.com "c" is invalid: spec.size: Required value',
  );
  await refused(
    t,
    client.create(configMaps, configMap("x", { namespace: "none" })),
    404,
    'namespaces "none" not found',
  );
  await refused(
    t,
    client.create(configMaps, configMap("x", { resourceVersion: "1" })),
    400,
    /resourceVersion should not be set/,
  );
  await refused(
    t,
    client.delete(gadgets, "a", "default", { preconditions: { uid: "other" } }),
    409,
    /Precondition failed: UID in precondition: other, UID in object meta: /,
  );
  await refused(
    t,
    client.delete(namespaces, "default"),
    403,
    'namespaces "default" is forbidden: this namespace may not be deleted',
  );
  await refused(t, client.patch(gadgets, "a", "default", { is: "strategic", body: {} }), 415, /unknown format/);
  const stranger = { ...pod("p"), spec: { ...pod("p").spec, serviceAccountName: "none" } };
  await refused(
    t,
    client.create(pods, stranger),
    403,
    'pods "p" is forbidden: error looking up service account default/none: serviceaccount "none" not found',
  );
});

test("an object with finalizers goes when the last one is removed", async (t) => {
  const { client } = await restWithGadgets(t);
  await client.create(gadgets, gadget("a", { finalizers: ["example.com/hold"] }));
  await client.delete(gadgets, "a", "default");
  const held = await client.get(gadgets, "a", "default");
  t.ok(held.metadata.deletionTimestamp);
  t.equal(held.metadata.generation, 2, "a deletion is a wish of its own");
  const add = { is: "merge", body: { metadata: { finalizers: ["example.com/hold", "example.com/more"] } } } as const;
  await refused(
    t,
    client.patch(gadgets, "a", "default", add),
    422,
    /no new finalizers can be added if the object is being deleted/,
  );
  await client.patch(gadgets, "a", "default", { is: "merge", body: { metadata: { finalizers: null } } });
  await refused(t, client.get(gadgets, "a", "default"), 404, /not found/);
});

test("a pod on a node waits for the node", async (t) => {
  const { client } = await restWithGadgets(t);
  await client.create(pods, pod("unscheduled"));
  await client.delete(pods, "unscheduled", "default");
  await refused(t, client.get(pods, "unscheduled", "default"), 404, /not found/);

  await client.create(pods, pod("running", "local"));
  await client.delete(pods, "running", "default", { gracePeriodSeconds: 20 });
  t.match(await client.get(pods, "running", "default"), { metadata: { deletionGracePeriodSeconds: 20 } });
  await client.delete(pods, "running", "default", { gracePeriodSeconds: 10 });
  t.match(
    await client.get(pods, "running", "default"),
    { metadata: { deletionGracePeriodSeconds: 10 } },
    "a shorter time counts",
  );
  await client.delete(pods, "running", "default", { gracePeriodSeconds: 15 });
  t.match(
    await client.get(pods, "running", "default"),
    { metadata: { deletionGracePeriodSeconds: 10 } },
    "a longer one does not",
  );
  await client.delete(pods, "running", "default", { gracePeriodSeconds: 0 });
  await refused(t, client.get(pods, "running", "default"), 404, /not found/);
});

const ownedBy = (owner: KubeObject, blockOwnerDeletion = true): OwnerReference => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name!,
  uid: owner.metadata.uid!,
  controller: true,
  blockOwnerDeletion,
});

test("what is owned follows its owner", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  const names = (resource: string) => rest.store.list(resource).map(({ object }) => object.metadata.name);
  /** A gadget that owns a config map that owns another. */
  const chain = async (name: string): Promise<void> => {
    const top = await client.create(gadgets, gadget(name));
    const middle = await client.create(configMaps, configMap(`${name}-1`, { ownerReferences: [ownedBy(top)] }));
    await client.create(configMaps, configMap(`${name}-2`, { ownerReferences: [ownedBy(middle)] }));
  };

  await chain("back");
  await client.delete(gadgets, "back", "default", { propagationPolicy: "Background" });
  t.same(names("gadgets.example.com"), [], "the owner goes at once");
  await until(rest, () => names("configmaps").length === 0);

  await chain("fore");
  const order: string[] = [];
  rest.store.onChange(({ type, name }) => type === "DELETED" && order.push(name));
  await client.delete(gadgets, "fore", "default", { propagationPolicy: "Foreground" });
  t.match(await client.get(gadgets, "fore", "default"), { metadata: { finalizers: ["foregroundDeletion"] } });
  await until(rest, () => names("gadgets.example.com").length === 0);
  t.same(order, ["fore-2", "fore-1", "fore"], "in the foreground the owner goes last");

  await chain("orphan");
  await client.delete(gadgets, "orphan", "default", { propagationPolicy: "Orphan" });
  await until(rest, () => names("gadgets.example.com").length === 0);
  t.same(names("configmaps"), ["orphan-1", "orphan-2"]);
  t.equal((await client.get(configMaps, "orphan-1", "default")).metadata.ownerReferences, undefined);

  const one = await client.create(gadgets, gadget("one"));
  const two = await client.create(gadgets, gadget("two"));
  await client.create(
    configMaps,
    configMap("shared", { ownerReferences: [ownedBy(one), { ...ownedBy(two), controller: false }] }),
  );
  await client.delete(gadgets, "one", "default");
  await until(rest, () => rest.store.dependents(one.metadata.uid!).length === 0);
  t.match(
    await client.get(configMaps, "shared", "default"),
    { metadata: { ownerReferences: [{ name: "two" }] } },
    "one owner is enough to stay",
  );

  await client.create(configMaps, configMap("stray", { ownerReferences: [{ ...ownedBy(one), uid: "never-was" }] }));
  await until(rest, () => !names("configmaps").includes("stray"));
  await client.create(configMaps, configMap("abroad", { namespace: "kube-system", ownerReferences: [ownedBy(two)] }));
  await until(rest, () => !names("configmaps").includes("abroad"));
});

test("a namespace takes everything in it along, and goes last", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  await client.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "team" } });
  t.match(await client.get(namespaces, "team"), {
    status: { phase: "Active" },
    metadata: { labels: { "kubernetes.io/metadata.name": "team" } },
  });
  await client.create(gadgets, gadget("a", { namespace: "team", finalizers: ["example.com/hold"] }));
  await client.create(configMaps, configMap("b", { namespace: "team" }));
  await client.delete(namespaces, "team");
  t.match(await client.get(namespaces, "team"), { status: { phase: "Terminating" } });
  await until(rest, () => rest.store.get("configmaps", "team", "b") === undefined);
  await refused(
    t,
    client.create(configMaps, configMap("c", { namespace: "team" })),
    403,
    'configmaps "c" is forbidden: unable to create new content in namespace team because it is being terminated',
  );
  t.ok(await client.get(namespaces, "team"), "a finalizer in it holds it");
  await client.patch(gadgets, "a", "team", { is: "merge", body: { metadata: { finalizers: null } } });
  await until(rest, () => rest.store.get("namespaces", "", "team") === undefined);
});

test("a CRD serves its kind for as long as it lives", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  const crd = await client.get<KubeObject & { status?: unknown }>(customResourceDefinitions, gadgetCrd.metadata.name!);
  t.match(crd.status, {
    acceptedNames: { kind: "Gadget", plural: "gadgets" },
    storedVersions: ["v1"],
    conditions: [
      { type: "NamesAccepted", status: "True" },
      { type: "Established", status: "True" },
    ],
  });
  await client.create(gadgets, gadget("a"));
  await client.delete(customResourceDefinitions, "gadgets.example.com");
  await until(
    rest,
    () => rest.store.get("customresourcedefinitions.apiextensions.k8s.io", "", "gadgets.example.com") === undefined,
  );
  t.same(rest.store.list("gadgets.example.com"), []);
  await refused(t, client.list(gadgets), 404, "the server could not find the requested resource");
});

test("a scale is a view of the replicas", async (t) => {
  const { client } = await restWithGadgets(t);
  await client.create(gadgets, { ...gadget("a"), spec: { size: 1, replicas: 2 } });
  const scale = await client.get<Scale>(gadgets, "a", "default", "scale");
  t.match(scale, { apiVersion: "autoscaling/v1", kind: "Scale", spec: { replicas: 2 }, status: { replicas: 0 } });
  await client.patch(
    gadgets,
    "a",
    "default",
    { is: "merge", body: { spec: { replicas: 4 } } },
    { subresource: "scale" },
  );
  t.match(await client.get(gadgets, "a", "default"), { spec: { replicas: 4 }, metadata: { generation: 2 } });
  await refused(
    t,
    client.update(gadgets, scale as unknown as Gadget, { subresource: "scale" }),
    409,
    /has been modified/,
  );
});

test("a strategic merge joins the lists of built-in kinds by key", async (t) => {
  const { client } = await restWithGadgets(t);
  const template = {
    metadata: { labels: { a: "b" } },
    spec: { containers: [{ name: "c", image: "one", args: ["x"] }] },
  };
  await client.create(deployments, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d", namespace: "default" },
    spec: { selector: { matchLabels: { a: "b" } }, template },
  } as KubeObject);
  const body = { spec: { template: { spec: { containers: [{ name: "c", image: "two" }] } } } };
  t.match(await client.patch(deployments, "d", "default", { is: "strategic", body }), {
    spec: { template: { spec: { containers: [{ name: "c", image: "two", args: ["x"] }] } } },
    metadata: { generation: 2 },
  });
});

test("names are made up from a prefix", async (t) => {
  const { client } = await restWithGadgets(t);
  const made = await client.create<Gadget>(gadgets, {
    ...gadget("x"),
    metadata: { namespace: "default", generateName: "some-" },
  });
  t.match(made, { metadata: { name: /^some-[a-z0-9]{5}$/ } });
});

test("a list comes in pages", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  for (const name of ["a", "b", "c", "d", "e"]) await client.create(gadgets, gadget(name));
  const call = {
    user: { username: "t", groups: [] },
    kind: rest.kinds.find("example.com", "v1", "gadgets")!,
    namespace: "",
    name: "",
    subresource: "" as const,
    dryRun: false,
    fieldManager: "",
    manager: "",
    fieldValidation: "Ignore" as const,
    warn: () => {},
  };
  const query = {
    labelSelector: "",
    fieldSelector: "",
    resourceVersion: "",
    resourceVersionMatch: "",
    limit: 2,
    continue: "",
  };
  const first = rest.list(call, query);
  t.match(first.metadata, { remainingItemCount: 3, resourceVersion: String(rest.store.version) });
  await client.delete(gadgets, "c", "default");
  const second = rest.list(call, { ...query, continue: first.metadata.continue! });
  t.same(
    second.items.map(({ metadata }) => metadata.name),
    ["d", "e"],
  );
  t.equal(second.metadata.continue, undefined);
  t.equal(
    second.metadata.resourceVersion,
    first.metadata.resourceVersion,
    "a watch from the first page misses nothing",
  );
  t.throws(() => rest.list(call, { ...query, continue: "nonsense" }), { code: 400 });
  t.throws(() => rest.list(call, { ...query, resourceVersion: "999999" }), {
    code: 504,
    message: /Too large resource version/,
  });
});
