/** `kubectl port-forward`: pairs of SPDY streams, one for the bytes of a connection, one for what went wrong with it. */
import { connect } from "node:net";
import { pipeline } from "node:stream/promises";
import type { SpdyStream } from "./spdy.ts";

export const forwardProtocol = "portforward.k8s.io";
/** The same inside of a WebSocket. */
export const tunnelProtocol = `SPDY/3.1+${forwardProtocol}`;

const connectMs = 10_000;
const pairMs = 30_000;

/** What to do with each stream of a connection. `address` says where the pod listens on a port. */
export function portForward(address: (port: number) => { host: string; port: number }): (stream: SpdyStream) => void {
  const waiting = new Map<string, { other: SpdyStream; timer: NodeJS.Timeout }>();
  return (stream) => {
    const { streamtype: type = "", requestid: id = "", port = "" } = stream.headers;
    if ((type !== "data" && type !== "error") || !/^\d{1,5}$/.test(port)) {
      stream.destroy();
      return;
    }
    // Old clients give no id: one data stream follows its error stream then.
    const key = id === "" ? `port ${port}` : id;
    const first = waiting.get(key);
    if (first === undefined || first.other.headers["streamtype"] === type) {
      const timer = setTimeout(() => {
        waiting.delete(key);
        stream.destroy();
      }, pairMs).unref();
      waiting.set(key, { other: stream, timer });
      return;
    }
    clearTimeout(first.timer);
    waiting.delete(key);
    const [data, error] = type === "data" ? [stream, first.other] : [first.other, stream];
    void forward(data, error, Number(port), address(Number(port)));
  };
}

async function forward(
  data: SpdyStream,
  error: SpdyStream,
  asked: number,
  { host, port }: { host: string; port: number },
): Promise<void> {
  error.resume(); // only written to
  const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
  const connecting = setTimeout(() => socket.destroy(new Error(`no connection within ${connectMs} ms`)), connectMs);
  socket.once("connect", () => clearTimeout(connecting));
  try {
    await Promise.all([pipeline(data, socket), pipeline(socket, data)]);
    error.end();
  } catch (cause) {
    // A client that hangs up is no failure of the pod.
    if (error.writable) error.end(`error forwarding port ${asked} to pod: ${(cause as Error).message}`);
    data.destroy();
    socket.destroy();
  } finally {
    clearTimeout(connecting);
  }
}
