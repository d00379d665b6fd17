/** The life of a service on one machine: YAML, answer, zero and back, traffic, failures. Real processes and kubectl. */
import http from "node:http";
import { test } from "tap";
import type { PodAutoscaler } from "../../api/autoscaling.ts";
import type { Pod } from "../../api/core.ts";
import type { KubeList } from "../../api/meta.ts";
import type { KService } from "../../api/serving.ts";
import { Cluster, command, has } from "./cluster.ts";

if (!has("kubectl")) {
  test("serving", { skip: "kubectl is not on PATH" }, (t) => t.end());
} else {
  await using cluster = new Cluster();
  await test("local mode starts", async (t) => {
    const startedMs = Date.now();
    await cluster.start();
    t.comment(`ready ${Date.now() - startedMs} ms after npm start`);
  });
  if (cluster.addresses !== undefined) await serving(cluster);
}

function ready(object: { status?: { conditions?: { type: string; status: string }[] } }): boolean {
  return object.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
}

function service(
  name: string,
  template: { annotations?: Record<string, string>; image?: string; env?: string } = {},
): string {
  return JSON.stringify({
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: { name },
    spec: {
      template: {
        ...(template.annotations === undefined ? {} : { metadata: { annotations: template.annotations } }),
        spec: {
          containers: [
            {
              image: template.image ?? "dev.local/hello",
              ...(template.env === undefined ? {} : { env: [{ name: "TARGET", value: template.env }] }),
            },
          ],
        },
      },
    },
  });
}

async function serving(cluster: Cluster): Promise<void> {
  await test("the platform runs as its own pods", async (t) => {
    const pods = await cluster.k("get pods -n knative-serving");
    for (const name of ["activator", "autoscaler", "autoscaler-hpa", "controller", "webhook"])
      t.match(pods, new RegExp(`${name}-\\S+ +1/1 +Running`), name);
  });

  await test("a Service of one image becomes Ready and answers with what the request carried", async (t) => {
    const yaml = `apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: first
spec:
  template:
    spec:
      containers:
        - image: dev.local/hello
`;
    t.match(await cluster.k("apply -f -", yaml), "service.serving.knative.dev/first created");
    await cluster.k("wait ksvc/first --for=condition=Ready --timeout=30s");
    const headings: [string, string[]][] = [
      ["ksvc", ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]],
      ["cfg", ["NAME", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]],
      ["rev", ["NAME", "CONFIG NAME", "GENERATION", "READY", "REASON", "ACTUAL REPLICAS", "DESIRED REPLICAS"]],
      ["rt", ["NAME", "URL", "READY", "REASON"]],
      ["kpa", ["NAME", "DESIREDSCALE", "ACTUALSCALE", "READY", "REASON"]],
      ["sks", ["NAME", "MODE", "ACTIVATORS", "SERVICENAME", "PRIVATESERVICENAME", "READY", "REASON"]],
      ["king", ["NAME", "READY", "REASON"]],
    ];
    for (const [kind, want] of headings) {
      const [heading = ""] = (await cluster.k(`get ${kind}`)).split("\n");
      t.same(heading.trim().split(/ {2,}/), want, kind);
    }
    const answer = await cluster.request("first.default.localhost", { path: "/some/path?q=1" });
    t.equal(answer.status, 200);
    t.match(answer.body, "GET /some/path?q=1");
    t.match(answer.body, /^host: first\.default\.localhost/im);
  });

  await test("applying the same YAML again changes nothing", async (t) => {
    await cluster.k("apply -f -", service("same"));
    await cluster.k("wait ksvc/same --for=condition=Ready --timeout=30s");
    const version = "get ksvc/same -o jsonpath={.metadata.generation}/{.metadata.resourceVersion}";
    const before = await cluster.k(version);
    // kubectl sends the list of containers again, without what was defaulted in it: the server has to see through that.
    await cluster.k("apply -f -", service("same"));
    t.equal(await cluster.k(version), before);
    t.equal((await cluster.k("get rev -l serving.knative.dev/service=same -o name")).trim().split("\n").length, 1);
  });

  await test("from zero pods a request is held, answered, and carries the activator's headers", async (t) => {
    await cluster.k(
      'patch cm config-autoscaler -n knative-serving --type=merge -p {"data":{"scale-to-zero-grace-period":"1s"}}',
    );
    await cluster.k("apply -f -", service("zero", { annotations: { "autoscaling.knative.dev/window": "6s" } }));
    await cluster.k("wait ksvc/zero --for=condition=Ready --timeout=30s");
    await cluster.until<PodAutoscaler>(
      "kpa zero-00001",
      (pa) => pa.status?.desiredScale === 0 && pa.status.actualScale === 0,
      60_000,
    );
    await gone(cluster, "zero-00001");
    t.match(await cluster.k("get kpa zero-00001"), /zero-00001 +0 +0 +False +NoTraffic/);
    t.match(await cluster.k("get rev zero-00001"), /zero-00001 +zero +1 +True/, "a revision at zero is still ready");

    const answer = await cluster.request("zero.default.localhost");
    t.equal(answer.status, 200);
    for (const line of [
      /^host: zero\.default\.localhost/im,
      /^forwarded: for=127\.0\.0\.1;proto=http/im,
      /^k-proxy-request: activator/im,
      /^x-forwarded-for: 127\.0\.0\.1/im,
      /^x-forwarded-proto: http/im,
      /^x-request-id: \S+/im,
    ])
      t.match(answer.body, line);
    t.notMatch(answer.body, /^knative-serving-/im, "the routing headers stay inside");
  });

  await test("traffic splits, pins and rolls back without a failed request", async (t) => {
    await cluster.k("apply -f -", service("split", { env: "one" }));
    await cluster.k("wait ksvc/split --for=condition=Ready --timeout=30s");
    for (const [index, env] of ["two", "three"].entries()) {
      await cluster.k("apply -f -", service("split", { env }));
      await cluster.until<KService>(
        "ksvc split",
        (svc) => svc.status?.latestReadyRevisionName === `split-0000${index + 2}` && ready(svc),
        30_000,
      );
    }
    t.equal((await cluster.k("get rev -l serving.knative.dev/service=split -o name")).trim().split("\n").length, 3);

    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const stop = new AbortController();
    const failed: string[] = [];
    const background = (async () => {
      while (!stop.signal.aborted) {
        const { status, body } = await cluster.request("split.default.localhost", { agent });
        if (status !== 200) failed.push(`${status} ${body}`);
      }
    })();

    const traffic = async (targets: object[]): Promise<void> => {
      await cluster.k(`patch ksvc split --type=merge -p ${JSON.stringify({ spec: { traffic: targets } })}`);
      await cluster.until<KService>(
        "ksvc split",
        (svc) => svc.status?.observedGeneration === svc.metadata.generation && ready(svc),
        30_000,
      );
    };
    const answers = async (count: number): Promise<Map<string, number>> => {
      const seen = new Map<string, number>();
      const one = async (): Promise<void> => {
        const { status, body } = await cluster.request("split.default.localhost", { agent });
        const target = status === 200 ? (/^Hello (\w+)!/m.exec(body)?.[1] ?? "none") : `${status}`;
        seen.set(target, (seen.get(target) ?? 0) + 1);
      };
      for (let sent = 0; sent < count; sent += 8) await Promise.all(Array.from({ length: 8 }, one));
      return seen;
    };

    await traffic([
      { revisionName: "split-00001", percent: 40 },
      { revisionName: "split-00002", percent: 30 },
      { revisionName: "split-00003", percent: 30 },
    ]);
    const seen = await answers(1000);
    for (const [target, percent] of [
      ["one", 40],
      ["two", 30],
      ["three", 30],
    ] as const) {
      const share = (seen.get(target) ?? 0) / 10;
      t.ok(Math.abs(share - percent) <= 5, `${target}: want ${percent} %, got ${share} %`);
    }
    await traffic([{ revisionName: "split-00002", percent: 100 }]);
    t.same([...(await answers(16)).keys()], ["two"], "pinned");
    await traffic([{ revisionName: "split-00001", percent: 100 }]);
    t.same([...(await answers(16)).keys()], ["one"], "rolled back");
    await traffic([{ latestRevision: true, percent: 100 }]);
    t.same([...(await answers(16)).keys()], ["three"], "back on the latest");
    stop.abort();
    await background;
    agent.destroy();
    t.same(failed, [], "nothing failed while traffic moved");
  });

  await test("a typo or a wrong value is named by kubectl", async (t) => {
    const typo = await cluster.kubectl(["apply", "-f", "-"], service("typo").replace('"image"', '"imagee"'));
    t.not(typo.code, 0);
    t.match(typo.stderr, "imagee");
    const good = JSON.parse(service("percent")) as KService;
    const percent = await cluster.kubectl(
      ["apply", "-f", "-"],
      JSON.stringify({ ...good, spec: { ...good.spec, traffic: [{ latestRevision: true, percent: 101 }] } }),
    );
    t.not(percent.code, 0);
    t.match(percent.stderr, "expected 0 <= 101 <= 100: spec.traffic[0].percent");
  });

  const failures = [
    {
      name: "an image that is not in the store",
      image: "dev.local/absent",
      status: "Unknown",
      message: /dev\.local\/absent.*not in the local image store/,
    },
    {
      name: "an app that does not listen on $PORT",
      image: "dev.local/deaf",
      status: "Unknown",
      message: /does not listen on \$PORT|not on \$PORT/,
    },
    { name: "an app that exits", image: "dev.local/quitter", status: "False", message: /cannot find the thing/ },
  ];
  await test("what is wrong with an app stands in the Service's Ready condition", async (t) => {
    const { addImages } = await import("./images.ts");
    await addImages(cluster.data);
    for (const { image } of failures) await cluster.k("apply -f -", service(image.split("/")[1]!, { image }));
    for (const { name, image, status, message } of failures) {
      const svc = await cluster.until<KService>(
        `ksvc ${image.split("/")[1]}`,
        (object) => message.test(object.status?.conditions?.find(({ type }) => type === "Ready")?.message ?? ""),
        20_000,
      );
      t.equal(svc.status?.conditions?.find(({ type }) => type === "Ready")?.status, status, name);
    }
    for (const { image } of failures) await cluster.k(`delete ksvc ${image.split("/")[1]} --wait=false`);
  });

  await test(
    "a burst from zero is served without an error, then the pods go by themselves",
    { skip: has("hey") ? false : "hey is not on PATH" },
    async (t) => {
      await cluster.k(
        "apply -f -",
        service("burst", {
          annotations: { "autoscaling.knative.dev/target": "5", "autoscaling.knative.dev/window": "6s" },
        }),
      );
      await cluster.k("wait ksvc/burst --for=condition=Ready --timeout=30s");
      await cluster.until<PodAutoscaler>(
        "kpa burst-00001",
        (pa) => pa.status?.desiredScale === 0 && pa.status.actualScale === 0,
        60_000,
      );
      await gone(cluster, "burst-00001");
      const rising = cluster.until<PodAutoscaler>(
        "kpa burst-00001",
        ({ status }) => (status?.desiredScale ?? 0) > (status?.actualScale ?? 0) && (status?.desiredScale ?? 0) >= 10,
        30_000,
      );
      const load = await command("hey", [
        "-z",
        "6s",
        "-c",
        "50",
        "-host",
        "burst.default.localhost",
        `http://127.0.0.1:${cluster.gatewayPort}`,
      ]);
      t.same(
        [...load.stdout.matchAll(/\[(\d+)\]\t\d+ responses/g)].map(([, status]) => status),
        ["200"],
        "only 200s",
      );
      t.notMatch(load.stdout, "Error distribution");
      await t.resolves(rising, "desired was above actual on the way up");
      await cluster.until<PodAutoscaler>(
        "kpa burst-00001",
        (pa) => pa.status?.desiredScale === 0 && pa.status.actualScale === 0,
        90_000,
      );
      t.match(await cluster.k("get kpa burst-00001"), /burst-00001 +0 +0 +False +NoTraffic/);
    },
  );

  await test("deleting a Service takes everything that belongs to it", async (t) => {
    await cluster.k("delete ksvc first --cascade=foreground");
    t.equal(await cluster.k("get cfg,rev,rt,kpa,sks,king,deploy -l serving.knative.dev/service=first -o name"), "");
    t.equal((await cluster.request("first.default.localhost")).status, 404);
  });
}

/** Resolves when no pod of the revision is left. */
async function gone(cluster: Cluster, revision: string): Promise<void> {
  const selector = `-l serving.knative.dev/revision=${revision}`;
  const pods = JSON.parse(await cluster.k(`get pods ${selector} -o json`)) as KubeList<Pod>;
  for (const pod of pods.items) await cluster.k(`wait pod/${pod.metadata.name} --for=delete --timeout=60s`);
}
