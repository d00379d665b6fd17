import { once } from "node:events";
import https from "node:https";
import type { IncomingMessage } from "node:http";
import path from "node:path";
import { test, type Test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { createInformer } from "../../kube/informer.ts";
import { silentLogger } from "../../process/logger.ts";
import { install } from "../install.ts";
import { readManifests } from "../manifest-files.ts";
import { clusterRoles, roleAggregationController, type ClusterRole } from "../workloads/role-aggregation.ts";
import type { Attributes } from "./authorization.ts";
import type { User } from "./call.ts";
import { inProcessClient } from "./in-process-client.ts";
import { createKindRegistry } from "./kinds/index.ts";
import { createDefaultRoles } from "./rbac-defaults.ts";
import { allows, createRbac, roleBindings } from "./rbac.ts";
import { createRest } from "./rest.ts";
import { servingPair, until } from "./rest-fixture.ts";
import { startApiServer } from "./server.ts";

const account = (namespace: string, name: string): User => ({
  username: `system:serviceaccount:${namespace}:${name}`,
  groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
});
const users = {
  admin: { username: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] },
  controller: account("knative-serving", "controller"),
  activator: account("knative-serving", "activator"),
  "a default account": account("default", "default"),
  editor: { username: "ed", groups: ["system:authenticated"] },
  viewer: { username: "vi", groups: ["system:authenticated"] },
} satisfies Record<string, User>;

/** `list pods in default`, `get deployments.apps/scale web in default`, `get /version`. */
function asked(text: string): Attributes {
  const [, verb = "", what = "", name = "", namespace = ""] =
    /^(\S+) (\S+)(?: (?!in )(\S+))?(?: in (\S+))?$/.exec(text) ?? [];
  if (what.startsWith("/"))
    return { verb, group: "", resource: "", subresource: "", namespace: "", name: "", path: what };
  const [full = "", subresource = ""] = what.split("/");
  const [resource = "", ...group] = full.split(".");
  return { verb, group: group.join("."), resource, subresource, namespace, name };
}

const binding = (user: string, role: string): KubeObject =>
  ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: user, namespace: "default" },
    subjects: [{ kind: "User", name: user }],
    roleRef: { kind: "ClusterRole", name: role },
  }) as KubeObject;

/** The platform's roles from its manifests, and those of every cluster. */
async function platform(t: Test) {
  const rest = await createRest({ file: ":memory:", kinds: createKindRegistry(), log: silentLogger });
  const client = inProcessClient(rest, users.admin);
  const stop = new AbortController();
  t.teardown(async () => {
    stop.abort();
    await rest.close();
  });
  await createDefaultRoles(rest);
  const { core } = readManifests(path.join(import.meta.dirname, "../../manifests"));
  const roles = core.filter(({ kind }) => /Namespace|ServiceAccount|Role/.test(kind));
  await install(client, { crds: [], core: roles });
  await client.create(roleBindings, binding("ed", "edit"));
  await client.create(roleBindings, binding("vi", "view"));
  const informer = createInformer<ClusterRole>({ client, resource: clusterRoles, log: silentLogger });
  void informer.run(stop.signal);
  void roleAggregationController({ client, log: silentLogger, roles: informer })(stop.signal);
  const rules = (name: string): unknown[] =>
    (rest.store.get("clusterroles.rbac.authorization.k8s.io", "", name) as ClusterRole).rules ?? [];
  await until(rest, () => ["knative-serving-admin", "admin", "edit", "view"].every((name) => rules(name).length > 0));
  return { rest, client, rbac: createRbac(rest.store), until: (holds: () => boolean) => until(rest, holds) };
}

test("who can do what", async (t) => {
  const { rbac, until: seen } = await platform(t);
  const table: [keyof typeof users, "can" | "cannot", string][] = [
    ["admin", "can", "delete nodes local"],
    ["admin", "can", "get /metrics"],
    ["controller", "can", "create deployments.apps in default"],
    ["controller", "can", "update leases.coordination.k8s.io any in knative-serving"],
    ["controller", "can", "update services.serving.knative.dev/status hello in default"],
    ["controller", "can", "patch deployments.apps/scale hello in default"],
    ["controller", "can", "watch pods"],
    ["controller", "cannot", "create clusterrolebindings.rbac.authorization.k8s.io"],
    ["controller", "cannot", "create pods/exec hello in default"],
    ["controller", "cannot", "delete nodes local"],
    ["activator", "can", "watch revisions.serving.knative.dev"],
    ["activator", "can", "list endpoints"],
    ["activator", "can", "watch secrets"],
    ["activator", "cannot", "update secrets tls in default"],
    ["activator", "can", "watch configmaps in knative-serving"],
    ["activator", "cannot", "list configmaps in default"],
    ["activator", "cannot", "list configmaps"],
    ["activator", "cannot", "update revisions.serving.knative.dev/status hello in default"],
    ["a default account", "cannot", "list pods in default"],
    ["a default account", "can", "create selfsubjectaccessreviews.authorization.k8s.io"],
    ["a default account", "can", "get /apis/apps/v1"],
    ["a default account", "cannot", "get /metrics"],
    ["editor", "can", "create services.serving.knative.dev in default"],
    ["editor", "can", "create pods/exec hello in default"],
    ["editor", "can", "list secrets in default"],
    ["editor", "can", "watch configmaps in default"],
    ["editor", "cannot", "create rolebindings.rbac.authorization.k8s.io in default"],
    ["editor", "cannot", "create services.serving.knative.dev in kube-system"],
    ["viewer", "can", "list services.serving.knative.dev in default"],
    ["viewer", "can", "get pods/log hello in default"],
    ["viewer", "cannot", "list secrets in default"],
    ["viewer", "cannot", "delete pods hello in default"],
  ];
  // `edit` is made of `view`, which is made of others: that takes two steps.
  await seen(() => rbac.authorize(users.editor, asked("watch configmaps in default")).allowed);
  for (const [who, can, what] of table)
    t.equal(rbac.authorize(users[who], asked(what)).allowed ? "can" : "cannot", can, `${who} ${can} ${what}`);
});

test("a binding counts from its write to its removal", async (t) => {
  const { rbac, client } = await platform(t);
  const list = asked("list pods in default");
  const user: User = { username: "new", groups: [] };
  t.same(rbac.authorize(user, list), { allowed: false });
  await client.create(roleBindings, binding("new", "view"));
  t.same(rbac.authorize(user, list), {
    allowed: true,
    reason: 'RBAC: allowed by RoleBinding "new/default" of ClusterRole "view" to User "new"',
  });
  await client.delete(roleBindings, "new", "default");
  t.same(rbac.authorize(user, list), { allowed: false });
  await client.create(roleBindings, binding("new", "gone"));
  t.same(rbac.authorize(user, list), {
    allowed: false,
    reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found',
  });
});

test("what was allowed before counts no longer than its rule, and for no other name", async (t) => {
  const { rbac, client } = await platform(t);
  const user: User = { username: "new", groups: [] };
  const can = (text: string): boolean => rbac.authorize(user, asked(text)).allowed;
  const rules = (verb: string, resourceNames?: string[]) => [
    { apiGroups: [""], resources: ["pods"], verbs: [verb], ...(resourceNames === undefined ? {} : { resourceNames }) },
  ];
  const role = (given: object[]): KubeObject =>
    ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "some" },
      rules: given,
    }) as KubeObject;
  await client.create(clusterRoles, role([...rules("get", ["a"]), ...rules("list")]));
  await client.create(roleBindings, binding("new", "some"));
  t.same(
    [can("get pods a in default"), can("get pods b in default"), can("get pods a in default")],
    [true, false, true],
  );
  t.same([can("list pods in default"), can("list pods in kube-system")], [true, false]);
  await client.update(clusterRoles, role(rules("get", ["b"])));
  t.same(
    [can("get pods a in default"), can("get pods b in default"), can("list pods in default")],
    [false, true, false],
  );
});

test("what a rule covers", (t) => {
  const cases = [
    { name: "a resource is not its subresources", rule: { resources: ["pods"] }, what: "get pods/log x", want: false },
    { name: "`*` is every one of them", rule: { resources: ["*"] }, what: "get pods/log x", want: true },
    { name: "`*/log` is that of every resource", rule: { resources: ["*/log"] }, what: "get pods/log x", want: true },
    { name: "`*/log` is no resource", rule: { resources: ["*/log"] }, what: "get log x", want: false },
    {
      name: "names hold for those",
      rule: { resources: ["pods"], resourceNames: ["x"] },
      what: "get pods x",
      want: true,
    },
    { name: "and for no others", rule: { resources: ["pods"], resourceNames: ["x"] }, what: "get pods y", want: false },
    { name: "nor for all at once", rule: { resources: ["pods"], resourceNames: ["x"] }, what: "get pods", want: false },
    { name: "a group is its own", rule: { resources: ["pods"] }, what: "get pods.other.dev x", want: false },
    {
      name: "a path with a star is what it begins",
      rule: { nonResourceURLs: ["/apis/*"] },
      what: "get /apis/x",
      want: true,
    },
    { name: "and not what it only resembles", rule: { nonResourceURLs: ["/apis/*"] }, what: "get /apis", want: false },
  ];
  for (const { name, rule, what, want } of cases)
    t.equal(allows({ verbs: ["get"], apiGroups: [""], ...rule }, asked(what)), want, name);
  t.end();
});

test("over HTTP", async (t) => {
  const { ca, cert, key } = await servingPair();
  const known: Record<string, User> = {
    admin: users.admin,
    bob: { username: "bob", groups: ["system:authenticated"] },
  };
  const server = await startApiServer({
    file: ":memory:",
    addresses: [{ host: "127.0.0.1", port: 0 }],
    tls: { key, cert },
    authenticate: (bearer) => known[bearer],
    authorize: "rbac",
    log: silentLogger,
  });
  t.teardown(() => server.close());
  async function ask(
    token: string,
    method: string,
    target: string,
    options: { body?: object; as?: Record<string, string | string[]> } = {},
  ) {
    const request = https.request(`https://127.0.0.1:${server.ports[0]}${target}`, {
      method,
      ca,
      agent: false,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...options.as },
    });
    request.end(options.body === undefined ? undefined : JSON.stringify(options.body));
    const [response] = (await once(request, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
    return {
      code: response.statusCode,
      ...(JSON.parse(text) as { message?: string; status?: unknown; details?: object }),
    };
  }
  const bobsPods = "/api/v1/namespaces/default/pods";
  const message = 'User "bob" cannot list resource "pods" in API group "" in the namespace "default"';
  t.match(await ask("bob", "GET", bobsPods), {
    code: 403,
    message: `pods is forbidden: ${message}`,
    details: { kind: "pods" },
  });
  t.match(await ask("bob", "PATCH", "/apis/apps/v1/namespaces/default/deployments/web/scale", { body: {} }), {
    code: 403,
    message:
      'deployments.apps "web" is forbidden: User "bob" cannot patch resource "deployments/scale" in API group "apps" in the namespace "default"',
    details: { name: "web", group: "apps", kind: "deployments" },
  });
  t.match(await ask("bob", "GET", "/metrics"), {
    code: 403,
    message: 'forbidden: User "bob" cannot get path "/metrics"',
  });
  t.match(await ask("bob", "GET", "/api"), { code: 200 });
  t.match(await ask("admin", "GET", bobsPods, { as: { "impersonate-user": "bob" } }), {
    code: 403,
    message: `pods is forbidden: ${message}`,
  });
  t.match(await ask("bob", "GET", bobsPods, { as: { "impersonate-user": "kubernetes-admin" } }), {
    code: 403,
    message:
      'users "kubernetes-admin" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope',
  });
  t.match(
    await ask("admin", "GET", bobsPods, { as: { "impersonate-user": "bob", "impersonate-group": ["system:masters"] } }),
    { code: 200 },
  );

  const review = (kind: string) => `/apis/authorization.k8s.io/v1/${kind}`;
  const resourceAttributes = { verb: "list", resource: "pods", namespace: "default" };
  t.same(
    (await ask("bob", "POST", review("selfsubjectaccessreviews"), { body: { spec: { resourceAttributes } } })).status,
    { allowed: false },
  );
  t.match(
    await ask("bob", "POST", review("subjectaccessreviews"), { body: { spec: { user: "x", resourceAttributes } } }),
    { code: 403 },
  );
  t.same(
    (
      await ask("admin", "POST", review("subjectaccessreviews"), {
        body: { spec: { user: "x", groups: ["system:masters"], resourceAttributes } },
      })
    ).status,
    { allowed: true },
  );
  t.match(
    (await ask("bob", "POST", review("selfsubjectrulesreviews"), { body: { spec: { namespace: "default" } } })).status,
    {
      resourceRules: [{ resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"] }, {}],
      nonResourceRules: [{ verbs: ["get"] }, {}],
      incomplete: false,
    },
  );

  const role = (name: string, rules: object[]) => ({ metadata: { name }, rules });
  const inNamespace = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
  const held = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] };
  const author = { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "rolebindings"], verbs: ["create"] };
  t.match(await ask("admin", "POST", `${inNamespace}/roles`, { body: role("author", [held, author]) }), { code: 201 });
  const subjects = [{ kind: "User", name: "bob" }];
  const bind = (name: string, kind: string) => ({ metadata: { name }, subjects, roleRef: { kind, name } });
  t.match(await ask("admin", "POST", `${inNamespace}/rolebindings`, { body: bind("author", "Role") }), { code: 201 });
  t.match(await ask("bob", "POST", `${inNamespace}/roles`, { body: role("same", [held]) }), { code: 201 });
  t.match(
    await ask("bob", "POST", `${inNamespace}/roles`, {
      body: role("more", [{ ...held, verbs: ["get", "delete", "watch"] }]),
    }),
    {
      code: 403,
      message:
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete" "watch"]}',
    },
  );
  t.match(await ask("bob", "POST", `${inNamespace}/rolebindings`, { body: bind("cluster-admin", "ClusterRole") }), {
    code: 403,
    message: /"cluster-admin" is forbidden: user "bob" .* is attempting to grant RBAC permissions not currently held/,
  });
});
