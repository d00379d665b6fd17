import { test, type Test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { ApiError, type KubeClient } from "../../kube/client.ts";
import type { Call } from "./call.ts";
import { entriesOf, lastAppliedAnnotation } from "./managed-fields.ts";
import { pathsOf } from "./field-set.ts";
import type { Rest } from "./rest.ts";
import { gadgets, restWithGadgets } from "./rest-fixture.ts";

const deployments = { group: "apps", version: "v1", plural: "deployments", kind: "Deployment", namespaced: true };

interface Container {
  name: string;
  image?: string;
  args?: string[];
  env?: { name: string; value: string }[];
  ports?: { containerPort: number; protocol?: string }[];
}
interface Deployment extends KubeObject {
  spec: { replicas?: number; selector: object; template: { metadata: object; spec: { containers: Container[] } } };
}

/** A Deployment as somebody writes it, `more` beside what it must have. */
function web(
  options: { labels?: Record<string, string>; replicas?: number; containers?: Container[] } = {},
): Deployment {
  const { labels, replicas, containers = [{ name: "app", image: "one" }] } = options;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default", ...(labels && { labels }) },
    spec: {
      ...(replicas !== undefined && { replicas }),
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers } },
    },
  };
}

interface World {
  rest: Rest;
  client: KubeClient;
  apply: (
    manager: string,
    config: KubeObject,
    options?: { force?: boolean; more?: Partial<Call> },
  ) => Promise<Deployment>;
  owners: (object: KubeObject) => Record<string, string[]>;
}

async function world(t: Test): Promise<World> {
  const { rest, client } = await restWithGadgets(t);
  const call = (manager: string, config: KubeObject, more: Partial<Call>): Call => {
    const [group = "", version = ""] = config.apiVersion.split("/");
    return {
      user: { username: "tester", groups: [] },
      kind: rest.kinds.findByKind(group, version, config.kind)!,
      namespace: "default",
      name: config.metadata.name ?? "",
      subresource: "",
      dryRun: false,
      fieldManager: manager,
      manager,
      fieldValidation: "Strict",
      warn: () => {},
      ...more,
    };
  };
  return {
    rest,
    client,
    apply: async (manager, config, { force = false, more = {} } = {}) =>
      (await rest.apply(call(manager, config, more), config, force)).object as Deployment,
    owners: (object) =>
      Object.fromEntries(
        entriesOf(object).map(({ manager, operation, subresource, fieldsV1 }) => [
          [manager, operation, ...(subresource === undefined ? [] : [subresource])].join(" "),
          pathsOf(fieldsV1),
        ]),
      ),
  };
}

const refusal = async (promise: Promise<unknown>): Promise<ApiError> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was not refused");
};

test("who applies owns what it says, and nothing that is filled in", async (t) => {
  const { apply, owners } = await world(t);
  const made = await apply(
    "ci",
    web({ replicas: 2, containers: [{ name: "app", image: "one", ports: [{ containerPort: 80 }] }] }),
  );
  t.match(made.spec.template.spec.containers[0], { ports: [{ containerPort: 80, protocol: "TCP" }] });
  t.same(owners(made), {
    "ci Apply": [
      ".spec.replicas",
      ".spec.selector",
      ".spec.template.metadata.labels.app",
      '.spec.template.spec.containers[name="app"]',
      '.spec.template.spec.containers[name="app"].image',
      '.spec.template.spec.containers[name="app"].name',
      '.spec.template.spec.containers[name="app"].ports[containerPort=80,protocol="TCP"]',
      '.spec.template.spec.containers[name="app"].ports[containerPort=80,protocol="TCP"].containerPort',
    ],
  });
  const again = await apply(
    "ci",
    web({ replicas: 2, containers: [{ name: "app", image: "one", ports: [{ containerPort: 80 }] }] }),
  );
  t.equal(again, made, "applied again, not even its version changes");
});

test("what becomes of fields between two appliers", async (t) => {
  const { apply, owners, client } = await world(t);
  await apply("one", web({ replicas: 1, labels: { a: "1", b: "1" } }));
  const both = await apply("two", web({ labels: { a: "1" } }));
  t.same(both.metadata.labels, { a: "1", b: "1" }, "what two agree on is no conflict, what the other has stays");

  const conflict = await refusal(apply("two", web({ replicas: 5, labels: { a: "2" } })));
  t.match(conflict.status, {
    code: 409,
    reason: "Conflict",
    message: 'Apply failed with 2 conflicts: conflicts with "one":\n- .metadata.labels.a\n- .spec.replicas',
    details: {
      causes: [
        { reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".metadata.labels.a" },
        { reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".spec.replicas" },
      ],
    },
  });
  const single = await refusal(apply("two", web({ replicas: 5 })));
  t.equal(single.message, 'Apply failed with 1 conflict: conflict with "one": .spec.replicas');

  const forced = await apply("two", web({ replicas: 5, labels: { a: "1" } }), { force: true });
  t.equal(forced.spec.replicas, 5);
  t.notOk(owners(forced)["one Apply"]?.includes(".spec.replicas"), "what was forced has one owner");

  const without = await apply("one", web());
  t.same(without.metadata.labels, { a: "1" }, "what nobody says any more goes, what another says stays");
  t.equal(without.spec.replicas, 5);

  const scaled = await client.patch(
    deployments,
    "web",
    "default",
    { is: "merge", body: { spec: { replicas: 7 } } },
    { fieldManager: "hpa" },
  );
  t.same(owners(scaled)["hpa Update"], [".spec.replicas"], "who changes a field has it");
  const taken = await refusal(apply("two", web({ replicas: 5, labels: { a: "1" } })));
  t.equal(taken.message, 'Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas');
});

test("lists", async (t) => {
  const { apply, client } = await world(t);
  const names = (object: Deployment): string[] => object.spec.template.spec.containers.map(({ name }) => name);
  await apply("one", web({ containers: [{ name: "app", image: "one", args: ["a", "b"] }] }));
  const added = await apply("two", web({ containers: [{ name: "sidecar", image: "two" }] }));
  t.same(names(added), ["sidecar", "app"], "items of two appliers stand side by side");
  const conflict = await refusal(
    apply(
      "two",
      web({
        containers: [
          { name: "app", args: ["c"] },
          { name: "sidecar", image: "two" },
        ],
      }),
    ),
  );
  t.equal(
    conflict.message,
    'Apply failed with 1 conflict: conflict with "one": .spec.template.spec.containers[name="app"].args',
    "a list without keys has one owner",
  );
  const left = await apply("two", web({ containers: [{ name: "app", image: "one" }] }));
  t.same(names(left), ["app"], "an item goes with its owner");
  const twice = await refusal(
    apply(
      "one",
      web({
        containers: [
          { name: "app", image: "x" },
          { name: "app", image: "y" },
        ],
      }),
    ),
  );
  t.match(twice.status, {
    code: 500,
    message:
      /^failed to create typed patch object \(default\/web; apps\/v1, Kind=Deployment\): duplicate entries for key \[name="app"\]$/,
  });
  const stored = await client.get<Deployment>(deployments, "web", "default");
  t.same(stored.spec.template.spec.containers[0]?.args, ["a", "b"]);
});

test("an object from before anybody applied", async (t) => {
  const { apply, owners, client } = await world(t);
  const made = await client.create(deployments, web({ replicas: 1 }));
  t.equal(made.metadata.managedFields, undefined, "the server's own objects carry no record");
  const conflict = await refusal(apply("ci", web({ replicas: 3 })));
  t.equal(
    conflict.message,
    'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas',
  );
  t.match(owners(await apply("ci", web({ replicas: 1 }))), { "ci Apply": Array, "before-first-apply Update": Array });
});

test("kubectl goes from its annotation to server-side apply without a conflict with itself", async (t) => {
  const { apply, client } = await world(t);
  const said = web({ replicas: 1, labels: { a: "1" } });
  const annotated = {
    ...said,
    metadata: { ...said.metadata, annotations: { [lastAppliedAnnotation]: JSON.stringify(said) } },
  };
  await client.create(deployments, annotated, { fieldManager: "kubectl-client-side-apply" });
  const other = await refusal(apply("ci", web({ replicas: 4, labels: { a: "1" } })));
  t.match(other.message, 'conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas');
  const next = await apply("kubectl", web({ replicas: 4, labels: { a: "1" } }));
  t.equal(next.spec.replicas, 4);
  t.match(
    JSON.parse(next.metadata.annotations?.[lastAppliedAnnotation] ?? ""),
    { spec: { replicas: 4 } },
    "its annotation follows",
  );
});

test("status has managers of its own", async (t) => {
  const { apply, owners, client } = await world(t);
  const gadget = (more: object) => ({
    apiVersion: "example.com/v1",
    kind: "Gadget",
    metadata: { name: "g", namespace: "default" },
    ...more,
  });
  const made = await apply("ci", gadget({ spec: { size: 1 }, status: { ready: true } }));
  t.notOk("status" in made, "an apply to the object says nothing of it");
  const status = await apply("robot", gadget({ status: { ready: true } }), { more: { subresource: "status" } });
  t.match(status, { spec: { size: 1 }, status: { ready: true } });
  t.same(owners(status), { "ci Apply": [".spec.size"], "robot Apply status": [".status.ready"] });
  const updated = await client.update(
    gadgets,
    { ...status, status: { ready: false } },
    { subresource: "status", fieldManager: "loop" },
  );
  t.same(owners(updated), { "ci Apply": [".spec.size"], "loop Update status": [".status.ready"] });
});

test("what an apply must be", async (t) => {
  const { apply } = await world(t);
  const cases = [
    {
      name: "of a manager",
      manager: "",
      config: web(),
      want: {
        code: 422,
        message: 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      },
    },
    {
      name: "without a record of managers",
      config: { ...web(), metadata: { name: "web", managedFields: [{}] } },
      want: { code: 400, message: "metadata.managedFields must be nil" },
    },
    {
      name: "of known fields",
      config: { ...web(), spec: { ...web().spec, repliccas: 1 } },
      want: {
        code: 500,
        message:
          "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.repliccas: field not declared in schema",
      },
    },
    {
      name: "of the object that is there",
      config: { ...web(), metadata: { name: "web", uid: "7" } },
      want: {
        code: 409,
        message:
          'Operation cannot be fulfilled on deployments.apps "web": uid mismatch: the provided object specified uid 7, and no existing object was found',
      },
    },
  ];
  for (const { name, manager = "ci", config, want } of cases)
    t.match((await refusal(apply(manager, config))).status, want, name);
});

test("a client may rewrite the record, and reset it", async (t) => {
  const { client, owners } = await world(t);
  const made = await client.create(deployments, web(), { fieldManager: "one" });
  t.match(owners(made), { "one Update": Array });
  const patch = (value: unknown) =>
    client.patch(
      deployments,
      "web",
      "default",
      { is: "json", operations: [{ op: "replace", path: "/metadata/managedFields", value }] },
      { fieldManager: "x" },
    );
  const entry = {
    manager: "two",
    operation: "Apply",
    apiVersion: "apps/v1",
    fieldsType: "FieldsV1",
    fieldsV1: { "f:spec": { "f:replicas": {} } },
  };
  t.same(owners(await patch([entry])), { "two Apply": [".spec.replicas"] });
  t.same(
    owners(await patch([{ nonsense: 1 }])),
    { "two Apply": [".spec.replicas"] },
    "what cannot be read changes nothing",
  );
  t.same(owners(await patch([{}])), {});
});

test("the record stays short", async (t) => {
  const { client } = await world(t);
  await client.create(deployments, web(), { fieldManager: "first" });
  let last: KubeObject | undefined;
  for (let index = 0; index < 20; index++)
    last = await client.patch(
      deployments,
      "web",
      "default",
      { is: "merge", body: { metadata: { labels: { [`l${index}`]: "x" } } } },
      { fieldManager: `m${index}` },
    );
  const entries = entriesOf(last!);
  t.equal(entries.length, 10);
  t.ok(entries.some(({ manager }) => manager === "ancient-changes"));
  t.equal(
    entries.flatMap(({ fieldsV1 }) => pathsOf(fieldsV1)).filter((path) => path.startsWith(".metadata.labels.l")).length,
    20,
  );
});
