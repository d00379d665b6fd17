import { test } from "tap";
import { BodyReader } from "./body-reader.ts";

const chunkedBody = "5;a=b\r\nhello\r\n2\r\n\r\n\r\n0\r\nSum: 1\r\n\r\n";

test("a chunked body is counted as it came and told as it is meant", (t) => {
  const reader = new BodyReader("request");
  reader.start({ is: "chunked" });
  const buffer = Buffer.from(`head${chunkedBody}GET`);
  const content: string[] = [];
  t.equal(
    reader.read(buffer, 4, (start, end) => content.push(buffer.toString("latin1", start, end))),
    chunkedBody.length,
  );
  t.ok(reader.ended);
  t.strictSame(content, ["hello", "\r\n"]);
  t.equal(reader.contentBytes, 7);
  t.strictSame(reader.trailers?.raw(), ["Sum", "1"]);
  t.equal(reader.end(), undefined);
  t.end();
});

test("one reader serves message after message", (t) => {
  const reader = new BodyReader("response");
  t.ok(reader.ended, "before the first there is no body");
  for (const framing of [{ is: "none" }, { is: "tunnel" }, { is: "length", bytes: 0 }] as const) {
    reader.start(framing);
    t.ok(reader.ended, framing.is);
    t.equal(reader.read(Buffer.from("next")), 0, "nothing of what follows");
  }
  reader.start({ is: "length", bytes: 3 });
  t.equal(reader.read(Buffer.from("ab")), 2);
  t.notOk(reader.ended);
  t.equal(reader.read(Buffer.from("cd")), 1);
  t.ok(reader.ended);
  reader.start({ is: "chunked" });
  t.equal(reader.read(Buffer.from(chunkedBody)), chunkedBody.length);
  reader.start({ is: "until-close" });
  t.equal(reader.trailers, undefined);
  t.equal(reader.contentBytes, 0);
  t.equal(reader.read(Buffer.from("abc")), 3);
  t.notOk(reader.ended);
  t.equal(reader.end(), undefined);
  t.ok(reader.ended);
  t.end();
});

test("nothing of a buffer with a broken chunk is passed on", (t) => {
  for (const [direction, status] of [
    ["request", 400],
    ["response", 502],
  ] as const) {
    const reader = new BodyReader(direction);
    reader.start({ is: "chunked" });
    t.equal(reader.read(Buffer.from("5\r\nhel")), 6);
    t.equal(reader.read(Buffer.from("lo\r\n5\nhello")), 0);
    t.match(reader.refusal, { is: "refused", status, code: "bare-lf" });
    t.notOk(reader.ended);
    t.match(reader.end(), { code: "bare-lf" }, "the first reason stays");
  }
  t.end();
});

test("a connection that ends inside a body is seen", (t) => {
  const reader = new BodyReader("response");
  for (const framing of [{ is: "length", bytes: 5 }, { is: "chunked" }] as const) {
    reader.start(framing);
    reader.read(Buffer.from("1\r\n"));
    t.match(reader.end(), { status: 502, code: "cut-short" }, framing.is);
  }
  t.end();
});

test("limits are what they are set to", (t) => {
  const limits = { chunkBytes: 16, sizeDigits: 3, extensionBytes: 4, trailerBytes: 10, trailers: 2 };
  const cases: [name: string, octets: string, code: string | undefined][] = [
    ["a chunk of the limit", `10\r\n${"x".repeat(16)}\r\n0\r\n\r\n`, undefined],
    ["a chunk past the limit", "11\r\n", "chunk-too-large"],
    ["digits of the limit", "001\r\nx\r\n0\r\n\r\n", undefined],
    ["digits past the limit", "0001\r\n", "chunk-too-large"],
    ["extensions of the limit", "1;a\r\nx\r\n0;b\r\n\r\n", undefined],
    ["extensions past the limit", "1;a\r\nx\r\n0;bc\r\n\r\n", "chunk-extensions-too-large"],
    ["trailers of the limit", "0\r\na:\r\nb:\r\n\r\n", undefined],
    ["trailer octets past the limit", "0\r\na: 34567\r\n\r\n", "head-too-large"],
    ["trailers past the limit", "0\r\na:\r\nb:\r\nc:\r\n\r\n", "too-many-fields"],
  ];
  for (const [name, octets, code] of cases)
    for (const size of [1, 2, octets.length]) {
      const reader = new BodyReader("request", limits);
      reader.start({ is: "chunked" });
      for (let at = 0; at < octets.length && reader.refusal === undefined; at += size)
        reader.read(Buffer.from(octets.slice(at, at + size)));
      t.equal(reader.refusal?.code, code, `${name}, ${size} at a time`);
      t.equal(reader.ended, code === undefined);
    }
  t.end();
});
