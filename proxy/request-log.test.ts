import { test } from "tap";
import { get, raw, startProxy, type Closable } from "./fixture.ts";
import { defaultRequestLogTemplate } from "./request-log-template.ts";
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
async function startLogged(t: Closable, template: string) {
  const lines: string[] = [];
  const observe = createRequestLog(
    template,
    ({ status }) => status,
    (line) => lines.push(line),
  );
  const port = await startProxy(t, (exchange) => {
    observe(exchange, revision);
    // As the layers below do.
    exchange.head.headers.delete("X-Gone");
    exchange.answer(exchange.head.target.startsWith("/missing") ? 404 : 200, "12345");
  });
  return { port, lines };
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
