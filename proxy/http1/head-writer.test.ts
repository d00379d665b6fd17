import { test } from "tap";
import { hopByHop } from "./field-kind.ts";
import { HeadWriter } from "./head-writer.ts";
import { RequestHeadReader } from "./request-head.ts";

test("a request is written from a received one with few changes", (t) => {
  const octets = "POST http://a/b?c HTTP/1.0\r\nHost: a\r\nConnection: x\r\nX: 1\r\nContent-Length: 007\r\n\r\n";
  const head = new RequestHeadReader().read(Buffer.from(octets));
  if (head?.is !== "request") return t.fail("not a request");
  head.fields.deleteNamed(head.connection.names);
  head.fields.delete("content-length");
  const text = HeadWriter.request(head.method, head.originTarget)
    .fields(head.fields, hopByHop)
    .field("X-Forwarded-For", "10.0.0.1")
    .framing(head.framing)
    .end();
  t.equal(text, "POST /b?c HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: 7\r\n\r\n");
  return t.end();
});

test("a response is written from a list", (t) => {
  t.equal(
    HeadWriter.response(503, "").list(["A", "b", "C", "\xe9\t"]).framing({ is: "chunked" }).end(),
    "HTTP/1.1 503 \r\nA: b\r\nC: \xe9\t\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  t.equal(HeadWriter.response(204, "No Content").framing({ is: "none" }).end(), "HTTP/1.1 204 No Content\r\n\r\n");
  t.end();
});

/** What would end a line, or does so once it is cut to one octet. */
const splitters = {
  "a carriage return": "\r",
  "a line feed": "\n",
  both: "\r\n",
  "a NUL": "\0",
  "a vertical tab": "\x0b",
  "a DEL": "\x7f",
  "U+010A": "\u010a",
  "U+010D": "\u010d",
  "a line separator": "\u2028",
  "a whole field line": "a\r\nSet-Cookie: b",
};

for (const [name, bad] of Object.entries(splitters))
  test(`${name} is let through nowhere`, (t) => {
    const writer = HeadWriter.response(200, "OK");
    const fields = new RequestHeadReader().read(Buffer.from("GET / HTTP/1.0\r\nA: 1\r\n\r\n"));
    if (fields?.is !== "request") return t.fail("not a request");
    t.throws(() => HeadWriter.response(200, bad), TypeError);
    t.throws(() => HeadWriter.request("GET", `/${bad}`), TypeError);
    t.throws(() => HeadWriter.request(`GET${bad}`, "/"), TypeError);
    t.throws(() => writer.field("A", bad), TypeError);
    t.throws(() => writer.field(`A${bad}`, "b"), TypeError);
    t.throws(() => HeadWriter.response(200, "OK").list(["A", "b", "C", bad]), TypeError);
    for (const does of ["set", "append"] as const) {
      t.throws(() => fields.fields[does]("A", bad), TypeError);
      t.throws(() => fields.fields[does]("B", bad), TypeError);
      t.throws(() => fields.fields[does](`B${bad}`, ""), TypeError);
    }
    t.equal(writer.fields(fields.fields).end(), "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n", "and nothing of it is left");
    return t.end();
  });

test("what is no head is not written", (t) => {
  for (const status of [0, 99, 1000, 200.5, Number.NaN]) t.throws(() => HeadWriter.response(status, ""), TypeError);
  t.throws(() => HeadWriter.request("", "/"), TypeError);
  t.throws(() => HeadWriter.request("GET", ""), TypeError);
  t.throws(() => HeadWriter.request("GET", "/a b"), TypeError);
  t.throws(() => HeadWriter.response(200, "").field("", "a"), TypeError);
  t.throws(() => HeadWriter.response(200, "").field("A ", "a"), TypeError);
  t.end();
});
