import { once } from "node:events";
import http2, { type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "tap";
import { startProxy, to } from "./fixture.ts";

test("an app that answers before the whole request has come: the answer keeps its trailers", async (t) => {
  const app = http2.createServer();
  app.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.once("data", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end("answer");
    });
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  t.teardown(() => app.close());
  const { port } = app.address() as AddressInfo;
  const front = await startProxy(t, (exchange) => exchange.forward(to(port, "h2c")));
  const client = http2.connect(`http://127.0.0.1:${front}`);
  t.teardown(() => client.destroy());
  for (let request = 1; request <= 20; request += 1) {
    const stream = client.request({ ":method": "POST", ":path": "/" });
    let body = "";
    let trailers: unknown;
    stream.on("data", (chunk) => (body += String(chunk)));
    stream.on("trailers", (fields: Record<string, unknown>) => (trailers = fields["grpc-status"]));
    stream.on("error", () => {});
    stream.write("question");
    await once(stream, "close");
    t.strictSame([body, trailers, stream.rstCode], ["answer", "0", http2.constants.NGHTTP2_NO_ERROR]);
  }
});
