/**
 * The three messages of proto/stats.proto that a pod's stream carries, on the wire. Written out here because the
 * generated code brings a gRPC library along; a test holds both against each other.
 */
import type { PodHello, PodLoad } from "../proto/gen/stats.ts";
import { MessageWriter } from "../process/otlp/message-writer.ts";

/** `PodReport` with its field `hello`. */
export function encodeHello(hello: PodHello): Buffer {
  const message = new MessageWriter();
  message.text(1, hello.namespace);
  message.text(2, hello.revision);
  message.text(3, hello.pod);
  message.text(4, hello.token);
  message.integer(5, hello.servingPort);
  message.double(6, hello.epoch);
  return report(1, message.bytes());
}

/** `PodReport` with its field `load`. */
export function encodeLoad({ sequence, state, load }: PodLoad): Buffer {
  const message = new MessageWriter();
  message.integer(1, sequence);
  message.integer(2, state);
  if (load !== undefined) {
    const inner = new MessageWriter();
    inner.double(1, load.clockMs);
    inner.double(2, load.requestSeconds);
    inner.double(3, load.proxiedRequestSeconds);
    inner.double(4, load.arrivals);
    inner.double(5, load.proxiedArrivals);
    inner.integer(6, load.inFlight);
    inner.integer(7, load.proxiedInFlight);
    message.message(3, inner.bytes());
  }
  return report(2, message.bytes());
}

function report(field: number, body: Buffer): Buffer {
  const message = new MessageWriter();
  message.message(field, body);
  return message.bytes();
}

/** A `PodDirective`; fields that are not known are passed over. Throws on anything malformed. */
export function decodeDirective(message: Buffer): { acknowledged: number; owner: string | undefined } {
  let at = 0;
  let acknowledged = 0;
  let owner: string | undefined;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at];
      // Ten bytes are 64 bits; past 2^53 a sequence number would no longer be exact, and is none of ours.
      if (byte === undefined || factor > 128 ** 9) throw new Error("PodDirective: a number that does not end");
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const wire = tag % 8;
    if (tag === 8) acknowledged = varint();
    else if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 2) {
      const length = varint();
      if (tag === 18) owner = message.toString("utf8", at, at + length);
      at += length;
    } else if (wire === 5) at += 4;
    else throw new Error(`PodDirective: wire type ${wire}`);
  }
  if (at > message.length) throw new Error("PodDirective: cut off");
  return { acknowledged, owner };
}
