import { test } from "tap";
import { aggregatedRules, type ClusterRole } from "./role-aggregation.ts";

const role = (name: string, labels: Record<string, string>, rules: unknown[]): ClusterRole => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name, labels },
  rules,
});

test("aggregatedRules joins the rules of the picked roles, each once and never its own", async (t) => {
  const picked = { part: "true" };
  const all: ClusterRole = {
    ...role("all", picked, [{ verbs: ["own"] }]),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: picked }] },
  };
  const roles = [
    role("b", picked, [{ verbs: ["get"] }, { verbs: ["list"] }]),
    role("a", picked, [{ verbs: ["list"] }]),
    role("other", {}, [{ verbs: ["delete"] }]),
    all,
  ];
  t.same(aggregatedRules(all, roles), [{ verbs: ["list"] }, { verbs: ["get"] }]);
});
