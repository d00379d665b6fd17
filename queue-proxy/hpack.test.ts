import { once } from "node:events";
import http2 from "node:http2";
import { connect } from "node:net";
import * as fc from "fast-check";
import { test } from "tap";
import { startApp, type Teardown } from "./fixture.ts";
import { decodeFields, encodeFields } from "./hpack.ts";

/** The header block with which node's HTTP/2 server, told of no dynamic table, answers. */
async function startEncoder(t: Teardown) {
  const server = http2.createServer();
  let answer: Record<string, string> = {};
  let asked: http2.IncomingHttpHeaders = {};
  server.on("stream", (stream, headers) => {
    asked = headers;
    stream.on("error", () => {});
    stream.respond(answer);
    stream.end();
  });
  const port = await startApp(t, server as unknown as Parameters<typeof startApp>[1]);
  return async (fields: Record<string, string>, request: [string, string][] = []) => {
    answer = fields;
    const socket = connect(port, "127.0.0.1");
    const block = encodeFields([
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      [":authority", "a"],
      ...request,
    ]);
    const settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    const head = [block.length >> 16, (block.length >> 8) & 255, block.length & 255, 1, 5, 0, 0, 0, 1];
    socket.write(
      Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([...settings, ...head]), block]),
    );
    let bytes = Buffer.alloc(0);
    for (;;) {
      const [chunk] = (await once(socket, "data")) as [Buffer];
      bytes = Buffer.concat([bytes, chunk]);
      for (let at = 0; at + 9 <= bytes.length;) {
        const length = bytes.readUIntBE(at, 3);
        if (bytes.length < at + 9 + length) break;
        if (bytes[at + 3] === 1) {
          socket.destroy();
          return { block: bytes.subarray(at + 9, at + 9 + length), asked };
        }
        at += 9 + length;
      }
    }
  };
}

test("what node's HTTP/2 encodes is decoded, Huffman included", async (t) => {
  const encode = await startEncoder(t);
  const { block } = await encode({ ":status": "200", "content-type": "application/grpc", "grpc-status": "16" });
  t.match(Object.fromEntries(decodeFields(block)), {
    ":status": "200",
    "content-type": "application/grpc",
    "grpc-status": "16",
  });
  const value = fc
    .string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((code) => code < 0x7f || code > 0x9f)
        .map((code) => String.fromCharCode(code)),
      maxLength: 300,
    })
    .map((text) => text.trim());
  await fc.assert(
    fc.asyncProperty(value, fc.constantFrom("200", "204", "404", "418", "503"), async (message, status) => {
      const { block } = await encode({ ":status": status, "grpc-message": message });
      const fields = decodeFields(block);
      return fields.get(":status") === status && fields.get("grpc-message") === message;
    }),
    { numRuns: 150 },
  );
});

test("node's HTTP/2 decodes what is encoded", async (t) => {
  const encode = await startEncoder(t);
  const long = "x".repeat(5000);
  const { asked } = await encode({}, [
    ["te", "trailers"],
    ["x-long", long],
  ]);
  t.match(asked, { ":authority": "a", te: "trailers", "x-long": long });
});

test("malformed blocks are refused", (t) => {
  const rows: { name: string; hex: string; want: RegExp }[] = [
    { name: "an index of the dynamic table", hex: "be", want: /no field has index 62/ },
    { name: "index 0", hex: "80", want: /no field has index 0/ },
    { name: "a larger dynamic table", hex: "3f01", want: /dynamic table that was refused/ },
    { name: "a number without end", hex: "ffffffffffffff", want: /too many digits/ },
    { name: "a text that is cut off", hex: "000561", want: /ends inside a text/ },
    { name: "a name alone", hex: "000161", want: /ends inside a field/ },
    { name: "a Huffman code that is cut off", hex: "00016181fe", want: /ends inside a code/ },
    { name: "the end-of-text code", hex: "00016184ffffffff", want: /holds its own end/ },
  ];
  for (const { name, hex, want } of rows) t.throws(() => decodeFields(Buffer.from(hex, "hex")), want, name);
  t.end();
});

test("any bytes are decoded or refused", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeFields(Buffer.from(bytes));
      } catch (error) {
        return error instanceof Error && error.message.startsWith("HPACK: ");
      }
      return true;
    }),
    { numRuns: 3000 },
  );
  t.end();
});
