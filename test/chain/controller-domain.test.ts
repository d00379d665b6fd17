/** A domain of one's own, from the claim to the Ingress and away again, against the embedded API server. */
import { test } from "tap";
import { conditionOf, isReady } from "../../api/conditions.ts";
import { services, type Service } from "../../api/core.ts";
import { clusterDomainClaims, kIngresses, type ClusterDomainClaim, type KIngress } from "../../api/networking.ts";
import { domainMappings, kServices, type DomainMapping, type KService } from "../../api/serving.ts";
import { isNotFound } from "../../kube/client.ts";
import { startControlPlane } from "./control-plane.ts";

const domain = "shop.example.org";
const mapping = (ref: DomainMapping["spec"]["ref"]): DomainMapping => ({
  apiVersion: "serving.knative.dev/v1beta1",
  kind: "DomainMapping",
  metadata: { name: domain, namespace: "default" },
  spec: { ref },
});

test("a domain waits for its claim and its Service, then leads there, and is let go of", async (t) => {
  const plane = await startControlPlane(t);
  const ref = { apiVersion: "serving.knative.dev/v1", kind: "Service", name: "hello" };
  await plane.client.create(domainMappings, mapping(ref));
  const unclaimed = await plane.until<DomainMapping>(
    domainMappings,
    domain,
    (object) => conditionOf(object, "DomainClaimed")?.status === "False",
  );
  t.equal(conditionOf(unclaimed, "Ready")?.reason, "DomainAlreadyClaimed");
  t.same(unclaimed.metadata.finalizers, ["domainmappings.serving.knative.dev"]);

  await plane.client.create<ClusterDomainClaim>(clusterDomainClaims, {
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "ClusterDomainClaim",
    metadata: { name: domain },
    spec: { namespace: "default" },
  });
  const unresolved = await plane.until<DomainMapping>(
    domainMappings,
    domain,
    (object) => conditionOf(object, "ReferenceResolved")?.status === "False",
  );
  t.match(conditionOf(unresolved, "Ready"), { reason: "ResolveFailed", message: /"hello" not found/ });

  await plane.client.create<KService>(kServices, {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: { name: "hello", namespace: "default" },
    spec: {
      template: { spec: { containers: [{ name: "user-container", image: "dev.local/hello" }] } },
      traffic: [{ latestRevision: true, percent: 100 }],
    },
  });
  await plane.bringUp("hello-00001");
  const ready = await plane.until<DomainMapping>(domainMappings, domain, isReady);
  t.equal(ready.status?.url, `http://${domain}`);
  const ingress = await plane.client.get<KIngress>(kIngresses, domain, "default");
  t.match(ingress.spec.rules, [
    {
      hosts: [domain],
      visibility: "ExternalIP",
      http: {
        paths: [
          {
            rewriteHost: "hello.default.svc.cluster.local",
            splits: [{ serviceName: "hello", servicePort: 80, appendHeaders: { "K-Original-Host": domain } }],
          },
        ],
      },
    },
  ]);

  // Another target: a Service that Knative knows nothing of.
  await plane.client.create<Service>(services, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "plain", namespace: "default" },
    spec: { ports: [{ port: 80 }] },
  });
  const stored = await plane.client.get<DomainMapping>(domainMappings, domain, "default");
  await plane.client.update(domainMappings, {
    ...stored,
    spec: { ref: { apiVersion: "v1", kind: "Service", name: "plain" } },
  });
  await plane.until<KIngress>(
    kIngresses,
    domain,
    ({ spec }) => spec.rules?.[0]?.http.paths[0]?.rewriteHost === "plain.default.svc.cluster.local",
  );

  await plane.until<DomainMapping>(domainMappings, domain, isReady);
  await plane.settled();
  const before = plane.writes.length;
  const touched = await plane.client.get<DomainMapping>(domainMappings, domain, "default");
  await plane.client.update(domainMappings, {
    ...touched,
    metadata: { ...touched.metadata, annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" } },
  });
  await plane.settled();
  t.same(plane.writes.slice(before), [], "a touch that changes nothing writes nothing");

  await plane.client.delete(domainMappings, domain, "default");
  await plane.settled();
  await t.rejects(
    plane.client.get(domainMappings, domain, "default").catch((error: unknown) => {
      t.ok(isNotFound(error));
      throw error;
    }),
  );
  t.ok(await plane.client.get(clusterDomainClaims, domain), "a claim that an administrator made stays");
});
