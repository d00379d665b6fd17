/**
 * One HTTP/2 connection that carries the stats streams of some pods: what a queue-proxy sends, byte for byte, but more
 * than one stream on a connection, since a machine has not a hundred thousand connections to give.
 */
import { connect, type Socket } from "node:net";
import { encodeFields } from "../../queue-proxy/hpack.ts";
import { decodeDirective, encodeHello, encodeLoad } from "../../queue-proxy/stats-messages.ts";
import type { PodHello } from "../../proto/gen/stats.ts";

const frame = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4 } as const;
const setting = { headerTableSize: 1, enablePush: 2, initialWindow: 4 } as const;
const largestWindow = 0x7fffffff;
const podReady = 2;

/** What a queue-proxy knows of its pod. */
interface PodLoadState {
  readonly openedMs: number;
  sequence: number;
  acknowledged: number;
  inFlight: number;
  changedMs: number;
  requestSeconds: number;
  arrivals: number;
}

export interface PodLinkEvents {
  /** Every pod's first message was acknowledged. */
  onOpened: () => void;
  onFailed: (why: string) => void;
}

export class PodLink {
  readonly #socket: Socket;
  readonly #events: PodLinkEvents;
  readonly #pods: PodLoadState[];
  /** What the server may still be sent: on the connection. Streams get as much when they open, and each sends less. */
  #window = 65_535;
  #received: Buffer = Buffer.alloc(0);
  #unopened: number;
  #closed = false;

  constructor(
    to: { host: string; port: number; localAddress: string },
    pods: readonly { hello: PodHello; inFlight: number }[],
    events: PodLinkEvents,
  ) {
    this.#events = events;
    this.#unopened = pods.length;
    const nowMs = performance.now();
    this.#pods = pods.map(({ inFlight }) => ({
      openedMs: nowMs,
      sequence: 0,
      acknowledged: 0,
      inFlight,
      changedMs: nowMs,
      requestSeconds: 0,
      arrivals: inFlight,
    }));
    const socket = connect({ ...to, noDelay: true });
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#fail(error.message));
    socket.on("close", () => this.#fail("the connection was closed"));
    const fields = encodeFields([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/swell.stats.v1.Stats/Pod"],
      [":authority", `${to.host}:${to.port}`],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["user-agent", "swell-queue-proxy"],
    ]);
    // A sidecar's, and windows that need no giving back.
    const settings = Buffer.alloc(18);
    for (const [index, [name, value]] of [
      [setting.headerTableSize, 0],
      [setting.enablePush, 0],
      [setting.initialWindow, largestWindow],
    ].entries() as Iterable<[number, [number, number]]>) {
      settings.writeUInt16BE(name, 6 * index);
      settings.writeUInt32BE(value, 6 * index + 2);
    }
    const start = [
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"),
      framed(frame.settings, 0, 0, settings),
      framed(frame.windowUpdate, 0, 0, uint32(largestWindow - 65_535)),
    ];
    for (const [index, { hello }] of pods.entries())
      start.push(
        framed(frame.headers, flag.endHeaders, streamOf(index), fields),
        this.#message(index, encodeHello(hello)),
        this.#load(index),
      );
    socket.write(Buffer.concat(start));
  }

  /** One message, as one write of its own. */
  set(index: number, inFlight: number): void {
    const pod = this.#pods[index]!;
    const nowMs = performance.now();
    pod.requestSeconds += (pod.inFlight * (nowMs - pod.changedMs)) / 1000;
    pod.arrivals += Math.max(0, inFlight - pod.inFlight);
    pod.inFlight = inFlight;
    pod.changedMs = nowMs;
    this.#socket.write(this.#load(index));
    if (this.#window < 0) this.#fail("the autoscaler does not take what it is sent");
  }

  inFlight(index: number): number {
    return this.#pods[index]!.inFlight;
  }

  /** Messages that were not acknowledged. */
  get unacknowledged(): number {
    return this.#pods.reduce((sum, { sequence, acknowledged }) => sum + sequence - acknowledged, 0);
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #load(index: number): Buffer {
    const pod = this.#pods[index]!;
    pod.sequence += 1;
    const load = {
      clockMs: pod.changedMs - pod.openedMs,
      requestSeconds: pod.requestSeconds,
      proxiedRequestSeconds: 0,
      arrivals: pod.arrivals,
      proxiedArrivals: 0,
      inFlight: pod.inFlight,
      proxiedInFlight: 0,
    };
    return this.#message(index, encodeLoad({ sequence: pod.sequence, state: podReady, load }));
  }

  #message(index: number, message: Buffer): Buffer {
    const payload = Buffer.allocUnsafe(5 + message.length);
    payload[0] = 0;
    payload.writeUInt32BE(message.length, 1);
    message.copy(payload, 5);
    this.#window -= payload.length;
    return framed(frame.data, 0, streamOf(index), payload);
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      this.#frame(bytes[3]!, bytes[4]!, bytes.readUInt32BE(5), bytes.subarray(9, 9 + length));
      bytes = bytes.subarray(9 + length);
    }
    this.#received = bytes.length === 0 ? bytes : Buffer.from(bytes);
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case frame.data: {
        const pod = this.#pods[(stream - 1) / 2];
        // A directive is far shorter than a frame, and always comes as one.
        if (pod === undefined || payload.length < 5) return;
        if (pod.acknowledged === 0) {
          this.#unopened -= 1;
          if (this.#unopened === 0) this.#events.onOpened();
        }
        for (let at = 0; at + 5 <= payload.length;) {
          const end = at + 5 + payload.readUInt32BE(at + 1);
          pod.acknowledged = decodeDirective(payload.subarray(at + 5, end)).acknowledged;
          at = end;
        }
        return;
      }
      case frame.settings:
        if ((flags & flag.ack) === 0) this.#socket.write(framed(frame.settings, flag.ack, 0, Buffer.alloc(0)));
        return;
      case frame.ping:
        if ((flags & flag.ack) === 0) this.#socket.write(framed(frame.ping, flag.ack, 0, payload));
        return;
      case frame.windowUpdate:
        if (stream === 0) this.#window += payload.readUInt32BE(0);
        return;
      case frame.headers:
        if ((flags & flag.endStream) !== 0) this.#fail("a stream was ended");
        return;
      case frame.reset:
        return this.#fail(`a stream was reset (${payload.readUInt32BE(0)})`);
      case frame.goAway:
        return this.#fail(`the connection was ended (${payload.readUInt32BE(4)})`);
    }
  }

  #fail(why: string): void {
    if (this.#closed) return;
    this.close();
    this.#events.onFailed(why);
  }
}

const streamOf = (index: number): number => 2 * index + 1;

function framed(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, 9);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
