import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect as connectTls } from "node:tls";
import { test } from "tap";
import { makeCertificate } from "./certificate-fixture.ts";
import { anyPort, get, heldApp, raw, startApp, startSidecar, unobserved } from "./fixture.ts";

const observability = { ...unobserved, userMetrics: { address: anyPort, tls: undefined } };

/** Metric → labels (sorted names, without a bucket's `le`) → value, of a page in the text format. */
function parsed(page: string): Map<string, Map<string, number>> {
  const metrics = new Map<string, Map<string, number>>();
  for (const line of page.slice(page.indexOf("\r\n\r\n") + 4).split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([a-z0-9_]+)\{(.*)\} (\S+)$/.exec(line);
    if (match === null) throw new Error(`not in the text format: ${line}`);
    const series = metrics.get(match[1]!) ?? new Map<string, number>();
    if (series.has(match[2]!)) throw new Error(`twice: ${line}`);
    series.set(match[2]!, Number(match[3]));
    metrics.set(match[1]!, series);
  }
  return metrics;
}

const names = (labels: string): string[] => [...labels.matchAll(/([a-z0-9_]+)="/g)].map(([, name]) => name!);

test("names and labels", async (t) => {
  const userPort = await startApp(t, (incoming, outgoing) => {
    outgoing.statusCode = incoming.url === "/missing" ? 404 : 200;
    outgoing.end("12345");
  });
  const sidecar = await startSidecar(t, { userPort, observability, containerConcurrency: 5, service: "hello" });
  await raw(sidecar.port, get("/"));
  await raw(sidecar.port, get("/missing", "Knative-Serving-Tag: blue\r\n"));
  await raw(sidecar.port, "PROPFIND / HTTP/1.1\r\nHost: app.example:8080\r\nConnection: close\r\n\r\n");
  await raw(sidecar.port, get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n"));
  const page = await raw(sidecar.userMetricsPort!, get("/metrics"));
  t.match(page, /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/plain; version=0\.0\.4/);
  const metrics = parsed(page);

  const scope = ["otel_scope_name", "otel_scope_schema_url", "otel_scope_version"];
  const server = [
    "http_request_method",
    "http_response_status_code",
    "kn_route_tag",
    "network_protocol_name",
    "network_protocol_version",
    "server_address",
    "url_scheme",
    ...scope,
  ];
  const client = [...server.filter((name) => name !== "kn_route_tag"), "server_port"];
  const identity = [
    "namespace_name",
    "service_name",
    "configuration_name",
    "revision_name",
    "pod_name",
    "container_name",
  ];
  const legacy = [...identity, "response_code", "response_code_class"];
  const rows: { name: string; labels: string[]; histogram?: boolean; series?: number }[] = [
    { name: "kn_serving_queue_depth", labels: scope, series: 1 },
    {
      name: "kn_serving_invocation_duration_seconds",
      labels: ["http_response_status_code", ...scope],
      histogram: true,
      series: 2,
    },
    { name: "http_server_request_duration_seconds", labels: server, histogram: true, series: 3 },
    { name: "http_server_request_body_size_bytes", labels: server, histogram: true, series: 3 },
    { name: "http_server_response_body_size_bytes", labels: server, histogram: true, series: 3 },
    { name: "http_client_request_duration_seconds", labels: client, histogram: true, series: 3 },
    { name: "http_client_request_body_size_bytes", labels: client, histogram: true, series: 3 },
    { name: "revision_request_count", labels: [...legacy, "route_tag"], series: 2 },
    { name: "revision_request_latencies", labels: [...legacy, "route_tag"], histogram: true, series: 2 },
    { name: "revision_app_request_count", labels: legacy, series: 2 },
    { name: "revision_app_request_latencies", labels: legacy, histogram: true, series: 2 },
    { name: "revision_queue_depth", labels: identity, series: 1 },
    {
      name: "target_info",
      labels: [
        "container_name",
        "k8s_container_name",
        "k8s_namespace_name",
        "k8s_pod_name",
        "kn_service_name",
        "kn_configuration_name",
        "kn_revision_name",
        "service_name",
        "service_instance_id",
      ],
      series: 1,
    },
  ];
  const sorted = (list: readonly string[]): string[] => [...list].sort((a, b) => (a < b ? -1 : 1));
  for (const { name, labels, histogram, series } of rows)
    await t.test(name, (t) => {
      const found = metrics.get(histogram === true ? `${name}_count` : name)!;
      t.ok(found, "is there");
      t.equal(found.size, series);
      for (const text of found.keys())
        t.strictSame(
          sorted(names(text).filter((name) => name !== "server_port")),
          sorted(labels.filter((name) => name !== "server_port")),
        );
      t.match(page, new RegExp(`\\n# TYPE ${name} ${histogram === true ? "histogram" : "(?:gauge|counter)"}\\n`));
      if (histogram === true) {
        const [labelText, count] = [...found][0]!;
        t.equal(metrics.get(`${name}_bucket`)!.get(`${labelText},le="+Inf"`), count, "the last bucket has all");
        t.ok(metrics.get(`${name}_sum`)!.has(labelText));
      }
      t.end();
    });
  const known = new Set(rows.flatMap(({ name }) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]));
  t.strictSame(
    [...metrics.keys()].filter((name) => !known.has(name)),
    [],
    "nothing else",
  );

  await t.test("values", (t) => {
    const value = (name: string, has: RegExp[]): number | undefined =>
      [...(metrics.get(name) ?? [])].find(([labels]) => has.every((one) => one.test(labels)))?.[1];
    t.equal(
      value("http_server_request_duration_seconds_count", [
        /status_code="404"/,
        /kn_route_tag="blue"/,
        /server_address="app\.example"/,
      ]),
      1,
    );
    t.equal(value("http_server_request_duration_seconds_count", [/method="_OTHER"/, /server_port="8080"/]), 1);
    t.equal(value("http_server_response_body_size_bytes_bucket", [/status_code="404"/, /le="5"/]), 1);
    t.equal(
      value("http_client_request_duration_seconds_count", [
        /server_address="127\.0\.0\.1"/,
        new RegExp(`server_port="${userPort}"`),
      ]),
      1,
    );
    t.equal(
      value("revision_request_count", [
        /response_code="200"/,
        /response_code_class="2xx"/,
        /route_tag="kn:disabled"/,
        /service_name="hello"/,
      ]),
      2,
    );
    t.equal(value("kn_serving_queue_depth", []), 0);
    t.end();
  });
});

test("the queue's depth is what it is when somebody asks; without a limit there is none", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const { port, userMetricsPort } = await startSidecar(t, { userPort, observability, containerConcurrency: 1 });
  const answers = [raw(port, get("/a")), raw(port, get("/b"))];
  await app.until(1);
  await raw(port, get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n"));
  t.match(await raw(userMetricsPort!, get("/metrics")), /\nkn_serving_queue_depth\{[^}]*\} 2\n/);
  for (let index = 0; index < 2; index += 1) {
    await app.until(index + 1);
    app.arrived[index]!.answer("ok");
  }
  await Promise.all(answers);
  const unlimited = await startSidecar(t, { userPort, observability });
  t.notMatch(await raw(unlimited.userMetricsPort!, get("/metrics")), /queue_depth/);
});

test("labels that clients choose cannot grow without end", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end());
  const { port, userMetricsPort } = await startSidecar(t, { userPort, observability });
  for (let batch = 0; batch < 12; batch += 1)
    await Promise.all(
      Array.from({ length: 50 }, (_value, index) =>
        raw(
          port,
          `GET / HTTP/1.1\r\nHost: h${batch * 50 + index}\r\nKnative-Serving-Tag: t${batch * 50 + index}\r\nConnection: close\r\n\r\n`,
        ),
      ),
    );
  const metrics = parsed(await raw(userMetricsPort!, get("/metrics")));
  for (const name of ["http_server_request_duration_seconds_count", "revision_request_count"]) {
    const series = metrics.get(name)!;
    t.ok(series.size <= 501, `${name} has ${series.size}`);
    t.equal(
      [...series.values()].reduce((sum, value) => sum + value),
      600,
      "nothing is lost",
    );
    t.ok([...series.keys()].some((labels) => labels.includes('otel_metric_overflow="true"')));
  }
});

test("over TLS, with clients' certificates", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "metrics-"));
  const ca = await makeCertificate("metrics.example");
  const stranger = await makeCertificate("stranger.example");
  for (const [file, content] of Object.entries({ "tls.crt": ca.cert, "tls.key": ca.key }))
    writeFileSync(path.join(folder, file), content);
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end());
  const settings = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: undefined, curves: undefined } as const;
  const ask = async (port: number, client: { cert: string; key: string } | undefined): Promise<string> => {
    const socket = connectTls({ port, host: "127.0.0.1", ca: ca.cert, servername: "metrics.example", ...client });
    let received = "";
    socket.on("data", (chunk) => (received += String(chunk)));
    socket.on("error", () => (received = "[refused]"));
    socket.write(get("/metrics"));
    await new Promise((resolve) => socket.once("close", resolve));
    return received === "" ? "[refused]" : received;
  };
  const rows = [
    { auth: "none", none: /^HTTP\/1\.1 200/, known: /^HTTP\/1\.1 200/, stranger: /^HTTP\/1\.1 200/ },
    { auth: "optional", none: /^HTTP\/1\.1 200/, known: /^HTTP\/1\.1 200/, stranger: /refused/ },
    { auth: "require", none: /refused/, known: /^HTTP\/1\.1 200/, stranger: /refused/ },
  ] as const;
  for (const { auth, ...want } of rows)
    await t.test(auth, async (t) => {
      const tls = {
        settings,
        certFile: path.join(folder, "tls.crt"),
        keyFile: path.join(folder, "tls.key"),
        clientAuth: auth,
        clientCaFile: path.join(folder, "tls.crt"),
      };
      const { userMetricsPort } = await startSidecar(t, {
        userPort,
        observability: { ...unobserved, userMetrics: { address: anyPort, tls } },
      });
      t.match(await ask(userMetricsPort!, undefined), want.none, "without a certificate");
      t.match(await ask(userMetricsPort!, ca), want.known, "with a good one");
      t.match(await ask(userMetricsPort!, stranger), want.stranger, "with a stranger's");
    });
});
