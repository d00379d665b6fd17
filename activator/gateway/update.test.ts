/** update of Knative's ingress conformance list (data-plane 3.6): reconfigured under traffic, and nothing is lost. */
import { Agent, request } from "undici";
import { test } from "tap";
import { ingressHash } from "../../api/ingress-hash.ts";
import type { KIngress } from "../../api/networking.ts";
import { coreService, fakePod, ingress, paths, ready, revision, setUp, split, toService, until } from "../fixture.ts";

const host = "update.example.com";

test("update: 20 reconfigurations under constant traffic cost no request", async (t) => {
  const versionOf = (version: number, backend: string): KIngress =>
    ingress("update", [host], { splits: [toService(backend, 100, { "X-Version": `${version}` })] }) as KIngress;
  const first = await fakePod(t, "b0");
  const { api, gateway, send } = await setUp(t, [
    ...coreService("b0", [first.port]),
    [paths.ingresses, versionOf(0, "b0")],
  ]);
  const agent = new Agent({ connections: 4 });
  t.teardown(() => agent.destroy());

  const failures: string[] = [];
  let sent = 0;
  const over = new AbortController();
  const traffic = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      const answer = await request(`http://127.0.0.1:${gateway}/`, { dispatcher: agent, headers: { host } });
      const body = await answer.body.text();
      sent += 1;
      if (answer.statusCode !== 200) failures.push(`${answer.statusCode} ${body}`);
    }
  });

  let backend = "b0";
  for (let version = 1; version <= 20; version += 1) {
    const isFresh = version > 10;
    if (isFresh) backend = `b${version}`;
    const object = versionOf(version, backend);
    // Worst order: the route before the Service and its endpoints.
    api.put(paths.ingresses, object);
    if (isFresh) {
      const before = sent;
      await until(() => sent > before + 8);
      const [service, endpoints] = coreService(backend, [(await fakePod(t, backend)).port]);
      api.put(...service!);
      api.put(...endpoints!);
    }
    const prober = { "User-Agent": "Knative-Ingress-Probe", "K-Network-Probe": "probe" };
    const probe = { host, ...prober, "K-Network-Hash": "override" };
    while ((await send(gateway, probe)).headers["k-network-hash"] !== ingressHash(object));
    const { body, headers } = await send(gateway, { host });
    t.match(JSON.parse(body), { "x-version": `${version}` }, `version ${version} is seen as soon as it is proven`);
    t.equal(headers["x-pod"], backend);
  }
  over.abort();
  await Promise.all(traffic);
  t.strictSame(failures, []);
  t.ok(sent > 100, `${sent} requests`);
});

test("a route to a revision that is not known yet comes into force when it is", async (t) => {
  const [old, fresh] = [await fakePod(t, "old"), await fakePod(t, "fresh")];
  const { api, gateway, send, running } = await setUp(t, [
    [paths.revisions, revision("old")],
    [paths.endpoints, ready("old", old.port)],
    [paths.endpoints, ready("fresh", fresh.port)],
    [paths.ingresses, ingress("update", [host], { splits: [split("old", 100)] })],
  ]);
  api.put(paths.ingresses, ingress("update", [host], { splits: [split("fresh", 100)] }));
  api.put(paths.ingresses, ingress("marker", ["marker.example.com"], { splits: [split("old", 100)] }));
  while ((await send(gateway, { host: "marker.example.com" })).status === 404);
  t.match(await send(gateway, { host }), { status: 200, headers: { "x-pod": "old" } });
  api.put(paths.revisions, revision("fresh"));
  await until(() => running.directory.get("ns", "fresh") !== undefined);
  while ((await send(gateway, { host })).headers["x-pod"] !== "fresh");
  t.pass("the new version is served");
});
