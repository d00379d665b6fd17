import { test } from "tap";
import type { Pod } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { ApiError, type KubeClient } from "../../kube/client.ts";
import { decisionsOf, revisionsOf } from "./source.ts";

const notFound = (): ApiError =>
  new ApiError({ apiVersion: "v1", kind: "Status", metadata: {}, status: "Failure", code: 404, reason: "NotFound" });

/** Answers `get` by `plural/name/subresource`, and `list` by plural. */
function client(objects: Record<string, unknown>, lists: Record<string, KubeObject[]>): KubeClient {
  return {
    get: (resource, name, _namespace, subresource) => {
      const found = objects[[resource.plural, name, subresource].filter((part) => part !== undefined).join("/")];
      return found === undefined ? Promise.reject(notFound()) : Promise.resolve(found as never);
    },
    list: (resource) => Promise.resolve({ items: lists[resource.plural] ?? [] } as never),
  } as Partial<KubeClient> as KubeClient;
}

const revision = (name: string, generation: number): KubeObject => ({
  apiVersion: "serving.knative.dev/v1",
  kind: "Revision",
  metadata: { name, labels: { "serving.knative.dev/configurationGeneration": String(generation) } },
});
const autoscaler = (name: string, phase = "Running"): Pod =>
  ({ metadata: { name }, spec: { containers: [] }, status: { phase } }) as unknown as Pod;

test("a name stands for the revisions that are in use, newest first", async (t) => {
  const service = { status: { traffic: [{ revisionName: "a-00002" }], latestCreatedRevisionName: "a-00010" } };
  const all = [revision("a-00001", 1), revision("a-00002", 2), revision("a-00010", 10)];
  const known = client({ "services/a": service, "revisions/a-00001": {} }, { revisions: all });
  t.same(await revisionsOf(known, "default", "a"), ["a-00010", "a-00002"]);
  t.same(await revisionsOf(known, "default", "a-00001"), ["a-00001"], "also one by its own name");
  await t.rejects(revisionsOf(known, "default", "b"), { message: "there is no Service and no Revision default/b" });
});

test("the autoscaler that leads is asked, through the API server", async (t) => {
  const where = { namespace: "default", revision: "a-00001", systemNamespace: "knative-serving" };
  const path = "pods/two:8080/proxy/debug/decisions/default/a-00001";
  const known = client({ [path]: [{ desiredPods: 3 }] }, { pods: [autoscaler("one"), autoscaler("two")] });
  t.match(await decisionsOf(known, where), [{ desiredPods: 3 }]);
  t.equal(await decisionsOf(client({}, { pods: [autoscaler("one")] }), where), undefined);
  await t.rejects(decisionsOf(client({}, { pods: [autoscaler("one", "Pending")] }), where), {
    message: "no autoscaler runs in the namespace knative-serving",
  });
});
