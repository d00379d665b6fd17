import { test } from "tap";
import { createProxyServer } from "../proxy/server.ts";
import { anyPort, get, raw, startApp, startSidecar, unobserved, type Teardown } from "./fixture.ts";
import { createLog } from "./log.ts";
import { defaultRequestLogTemplate } from "./observability.ts";
import { resultStatus } from "./our-error.ts";
import { createRequestLog } from "./request-log.ts";

const revision = {
  revision: "hello-00001",
  namespace: "default",
  service: "hello",
  configuration: "hello",
  pod: "hello-00001-pod",
  podIp: "10.0.0.1",
};

/** A proxy of nothing but the log, in front of `answer`. */
async function startLogged(t: Teardown, template: string) {
  const lines: string[] = [];
  const observe = createRequestLog(template, revision, resultStatus, (line) => lines.push(line));
  const server = createProxyServer({
    log: createLog("queue-proxy", "silent"),
    handler: (exchange) => {
      observe(exchange);
      // As the layers below do.
      exchange.head.headers.delete("X-Gone");
      exchange.answer(exchange.head.target.startsWith("/missing") ? 404 : 200, "12345");
    },
  });
  const [port] = await server.listen([anyPort]);
  t.teardown(() => server.close(0));
  return { port: port!, lines };
}

test("the default template", async (t) => {
  const { port, lines } = await startLogged(t, defaultRequestLogTemplate);
  await raw(
    port,
    get(
      "/a?b=c",
      'User-Agent: "curl" <1>\r\nReferer: http://r/?x=1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n',
    ),
  );
  t.match(lines, [
    /^\{"httpRequest": \{"requestMethod": "GET", "requestUrl": "\/a\?b\\u003Dc", "requestSize": "0", "status": 200, "responseSize": "5", "userAgent": "\\"curl\\" \\u003C1\\u003E", "remoteIp": "127\.0\.0\.1:\d+", "serverIp": "10\.0\.0\.1", "referer": "http:\/\/r\/\?x\\u003D1", "latency": "[\d.e-]+s", "protocol": "HTTP\/1\.1"\}, "traceId": "0af7651916cd43dd8448eb211c80319c"\}\n$/,
  ]);
  t.equal((JSON.parse(lines[0]!) as { httpRequest: { requestUrl: string } }).httpRequest.requestUrl, "/a?b=c");
});

const rows: { name: string; template: string; send?: string; want: string }[] = [
  {
    name: "every field of the revision",
    template:
      "{{.Revision.Name}} {{.Revision.Namespace}} {{.Revision.Service}} {{.Revision.Configuration}} {{.Revision.PodName}} {{.Revision.PodIP}}",
    want: "hello-00001 default hello hello hello-00001-pod 10.0.0.1\n",
  },
  {
    name: "a header by method and by index",
    template: '{{.Request.Header.Get "x-gone"}} {{index .Request.Header "X-Gone"}}',
    send: "X-Gone: 1\r\nx-gone: 2\r\n",
    want: "1 [1 2]\n",
  },
  {
    name: "the host is no header",
    template: '{{.Request.Host}}|{{.Request.Header.Get "Host"}}',
    want: "app.example|\n",
  },
  {
    name: "a condition",
    template: '{{if eq .Response.Code 404}}lost{{else if .Request.Header.Get "X-Gone"}}marked{{else}}plain{{end}}',
    send: "X-Gone: 1\r\n",
    want: "marked\n",
  },
  {
    name: "formats",
    template: '{{printf "%s %d %v %q" .Request.Method .Response.Code .Response.Size .Request.Host}}',
    want: 'GET 200 5 "app.example"\n',
  },
  { name: "a line end of the template's own", template: "{{.Request.Method}}\n", want: "GET\n" },
  { name: "Zipkin's trace", template: "{{.TraceID}}", send: "X-B3-Traceid: abc\r\n", want: "abc\n" },
  { name: "no trace", template: "[{{.TraceID}}]", want: "[]\n" },
  {
    name: "parts of the URL",
    template: "{{.Request.URL}} {{.Request.URL.Path}} {{.Request.URL.RawQuery}}",
    want: "/p%20q?x=1 /p q x=1\n",
  },
];

test("templates of operators", async (t) => {
  for (const { name, template, send = "", want } of rows)
    await t.test(name, async (t) => {
      const { port, lines } = await startLogged(t, template);
      await raw(port, get("/p%20q?x=1", send));
      t.strictSame(lines, [want]);
    });
});

test("latency is a number of seconds that can be formatted", async (t) => {
  const { port, lines } = await startLogged(t, '{{printf "%.3f" .Response.Latency}}');
  await raw(port, get("/"));
  t.match(lines, [/^\d+\.\d{3}\n$/]);
});

test("bodies of a known and of an unknown length", async (t) => {
  const { port, lines } = await startLogged(t, "{{.Request.ContentLength}}");
  const head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
  await raw(port, `${head}Content-Length: 2\r\n\r\nhi`);
  await raw(port, `${head}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`);
  t.strictSame(lines, ["2\n", "-1\n"]);
});

test("a template that fails at run time leaves the facts", async (t) => {
  const { port, lines } = await startLogged(t, "{{.Request.Method}} {{.Request.Nothing}}");
  await raw(port, get("/missing?a=b"));
  t.match(lines, [
    /^Invalid request log template: method: GET, response code: 404, latency: [\d.e-]+, url: \/missing\?a=b\n$/,
  ]);
});

test("in the sidecar", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const stdout: string[] = [];
  const write = process.stdout.write.bind(process.stdout);
  // What the sidecar writes, without tap's own lines.
  process.stdout.write = (chunk: string | Uint8Array): boolean =>
    String(chunk).startsWith("LOG ") ? stdout.push(String(chunk)) > 0 : write(chunk);
  t.teardown(() => {
    process.stdout.write = write;
  });
  const template = "LOG {{.Request.RequestURI}} {{.Response.Code}}";
  const probe = get("/probe", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n");
  for (const [name, probes, want] of [
    ["probes are left out", false, ["LOG /request 200\n"]],
    ["unless they are asked for", true, ["LOG /probe 200\n", "LOG /request 200\n"]],
  ] as const)
    await t.test(name, async (t) => {
      stdout.length = 0;
      const observability = { ...unobserved, requestLog: { template, probes } };
      const { port } = await startSidecar(t, { userPort, observability });
      await raw(port, probe);
      await raw(port, get("/request"));
      t.strictSame(stdout, want);
    });
  await t.test("a template that cannot be parsed turns the log off, and says so", async (t) => {
    stdout.length = 0;
    const observability = { ...unobserved, requestLog: { template: "{{.Request", probes: false } };
    const { port, lines } = await startSidecar(t, { userPort, observability });
    t.match(await raw(port, get("/")), /^HTTP\/1\.1 200 /);
    t.ok(lines.some((line) => line.includes("unclosed action") && line.includes("requests are not logged")));
    t.strictSame(stdout, []);
  });
});
