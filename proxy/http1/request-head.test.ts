import { test } from "tap";
import { judgeRequests, judgeResponses, summary } from "./corpus/judgement.ts";
import { atStartLine, defaultHeadLimits, HeadLexer, isRefused, needsMore } from "./head-lexer.ts";
import { RequestHeadReader, type ParsedRequest } from "./request-head.ts";

function parsed(octets: string): ParsedRequest {
  const head = new RequestHeadReader().read(Buffer.from(octets, "latin1"));
  if (head?.is !== "request") throw new Error(`not a request: ${JSON.stringify(head)}`);
  return head;
}

const get = (fields: string, target = "/"): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

const facts: { name: string; octets: string; want: Partial<Record<keyof ParsedRequest, unknown>> }[] = [
  { name: "origin form", octets: get("", "/a?b"), want: { targetForm: "origin", originTarget: "/a?b", host: "a" } },
  {
    name: "absolute form",
    octets: get("", "http://A:80/b?c"),
    want: { targetForm: "absolute", originTarget: "/b?c", host: "A:80" },
  },
  { name: "absolute form without path", octets: get("", "http://a"), want: { originTarget: "/" } },
  { name: "absolute form with a query only", octets: get("", "http://a?b"), want: { originTarget: "/?b" } },
  {
    name: "absolute form of the whole server",
    octets: "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    want: { targetForm: "absolute", originTarget: "*" },
  },
  {
    name: "asterisk form",
    octets: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    want: { targetForm: "asterisk", originTarget: "*" },
  },
  {
    name: "authority form",
    octets: "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    want: { targetForm: "authority", host: "a:443", keepAlive: false },
  },
  { name: "HTTP/1.0", octets: "GET / HTTP/1.0\r\n\r\n", want: { minorVersion: 0, host: "", keepAlive: false } },
  {
    name: "Connection's options",
    octets: get("Connection: close, X-A\r\nConnection: Keep-Alive\r\n"),
    want: { connection: { close: true, keepAlive: true, upgrade: false, names: ["x-a"] }, keepAlive: false },
  },
  {
    name: "an upgrade",
    octets: get("Connection: a, Upgrade\r\nUpgrade: WebSocket\r\n"),
    want: { upgrade: "WebSocket" },
  },
  { name: "no upgrade without Connection", octets: get("Upgrade: WebSocket\r\n"), want: { upgrade: undefined } },
  {
    name: "no upgrade in HTTP/1.0",
    octets: "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    want: { upgrade: undefined },
  },
  {
    name: "no upgrade with a body",
    octets: get("Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n"),
    want: { upgrade: undefined, framing: { is: "length", bytes: 1 } },
  },
  { name: "an expectation", octets: get("Expect: 100-Continue\r\n"), want: { expects: "continue" } },
  { name: "another expectation", octets: get("Expect: 100-continue, x\r\n"), want: { expects: "other" } },
  {
    name: "no expectation in HTTP/1.0",
    octets: "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
    want: { expects: "nothing" },
  },
];

for (const { name, octets, want } of facts)
  test(`a request head tells of ${name}`, (t) => {
    t.match(parsed(octets), want);
    t.end();
  });

test("a head ends where its body starts, wherever it lies in a buffer", (t) => {
  const reader = new RequestHeadReader();
  const head = get("X: y\r\n");
  const buffer = Buffer.from(`...${head}body`);
  t.equal(reader.read(buffer, 3)?.is, "request");
  t.equal(reader.consumed, head.length);
  t.equal(reader.begun, false);

  t.equal(reader.read(buffer.subarray(0, 20), 3), undefined);
  t.ok(reader.begun);
  const rest = reader.read(buffer, 20);
  t.equal(rest?.is === "request" && rest.fields.get("x"), "y");
  t.equal(reader.consumed, head.length - 17);
  t.equal(reader.read(buffer, buffer.length), undefined, "nothing is not a beginning");
  t.equal(reader.begun, false);
  t.end();
});

test("two connections do not mix while both have half a head", (t) => {
  const [one, other] = [new RequestHeadReader(), new RequestHeadReader()];
  t.equal(one.read(Buffer.from("GET /one HTTP/1.1\r\nHo")), undefined);
  t.equal(other.read(Buffer.from("GET /other HTTP/1.1\r\nHost: b\r\nX")), undefined);
  t.match(one.read(Buffer.from("st: a\r\n\r\n")), { target: "/one", host: "a" });
  t.match(other.read(Buffer.from(": y\r\n\r\n")), { target: "/other", host: "b" });
  t.end();
});

const limits = { headBytes: 60, lineBytes: 20, fields: 3 };
const line = "GET / HTTP/1.1\r\nHost: a\r\n";
const limited: { name: string; octets: string; want: string }[] = [
  { name: "a line of the limit", octets: "GET /234567 HTTP/1.1\r\nHost: a\r\n\r\n", want: "GET /234567 none" },
  { name: "a line past the limit", octets: "GET /2345678 HTTP/1.1\r\nHost: a\r\n\r\n", want: "414 line-too-long" },
  { name: "a line that never ends", octets: `GET /${"a".repeat(100)}`, want: "414 line-too-long" },
  { name: "as many fields as may be", octets: `${line}A:\r\nB:\r\n\r\n`, want: "GET / none" },
  { name: "one field more", octets: `${line}A:\r\nB:\r\nC:\r\n\r\n`, want: "431 too-many-fields" },
  { name: "a head of the limit", octets: `${line}A: ${"a".repeat(28)}\r\n\r\n`, want: "GET / none" },
  { name: "a head past the limit", octets: `${line}A: ${"a".repeat(29)}\r\n\r\n`, want: "431 head-too-large" },
  { name: "a name that never ends", octets: `${line}${"a".repeat(100)}`, want: "431 head-too-large" },
  { name: "white space that never ends", octets: `${line}A:${" ".repeat(100)}`, want: "431 head-too-large" },
];

for (const { name, octets, want } of limited)
  test(`limits: ${name}, in whatever pieces`, (t) => {
    const whole = Buffer.from(octets);
    const verdicts = new Set<string>();
    for (let cut = 0; cut <= whole.length; cut += 1)
      verdicts.add(summary(judgeRequests([whole.subarray(0, cut), whole.subarray(cut)], limits)));
    verdicts.add(
      summary(
        judgeRequests(
          Array.from(whole, (octet) => Buffer.of(octet)),
          limits,
        ),
      ),
    );
    t.strictSame([...verdicts], [want]);
    t.end();
  });

test("the limits by default: 64 KiB for a line, 1000 fields, 1 MiB for a head, responses alike", (t) => {
  const get = { method: "GET", upgrade: false };
  const request = (text: string): string => summary(judgeRequests([Buffer.from(text)])).slice(0, 30);
  t.equal(request(`GET /${"a".repeat(65_535 - 13)} HTTP/1.1\r\nHost: a\r\n\r\n`).slice(0, 8), "GET /aaa");
  t.equal(request(`GET /${"a".repeat(65_537 - 13)} HTTP/1.1\r\nHost: a\r\n\r\n`), "414 line-too-long");
  t.equal(request(`${line}${"a:\r\n".repeat(999)}\r\n`), "GET / none");
  t.equal(request(`${line}${"a:\r\n".repeat(1000)}\r\n`), "431 too-many-fields");
  t.equal(request(`${line}a: ${"b".repeat(1_048_576 - line.length - 7)}\r\n\r\n`), "GET / none");
  t.equal(request(`${line}a: ${"b".repeat(1_048_577 - line.length - 7)}\r\n\r\n`), "431 head-too-large");
  const response = `HTTP/1.1 200 OK\r\n${"a:\r\n".repeat(1001)}\r\n`;
  t.equal(summary(judgeResponses([Buffer.from(response)], [get])), "502 too-many-fields");
  t.end();
});

test("every octet is looked at a few times, not once per piece", (t) => {
  const octets = Buffer.from(`${line}X: ${"y".repeat(20_000)}\r\n${"n".repeat(20_000)}: z\r\n\r\n`);
  let looks = 0;
  const watched = new Proxy<Uint8Array>(octets, {
    get(target, key) {
      looks += 1;
      return Reflect.get(target, key);
    },
  });
  const lexer = new HeadLexer();
  lexer.reset({ leadingLine: true, startLine: true });
  let outcome = needsMore;
  for (let end = 1; end <= octets.length && outcome < 0; end += 1) {
    outcome = lexer.run(watched, 0, end, defaultHeadLimits);
    if (outcome === atStartLine) outcome = lexer.run(watched, 0, end, defaultHeadLimits);
    if (outcome === isRefused) t.fail(lexer.refusal);
  }
  t.equal(outcome, octets.length);
  t.ok(looks < 4 * octets.length, `${looks} looks at ${octets.length} octets`);
  t.end();
});
