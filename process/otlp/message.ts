/** What the messages of every OTLP signal are made of (opentelemetry.proto.common.v1, resource.v1). */
import type { MessageWriter } from "./message-writer.ts";

export type Attribute = readonly [name: string, value: string | number];

/** Given, so that nothing here shares code with what every sidecar loads (see queue-proxy/observers.ts). */
export type NewMessage = () => MessageWriter;

export function otlpWriting(newMessage: NewMessage) {
  const message = (write: (out: MessageWriter) => void): Buffer => {
    const out = newMessage();
    write(out);
    return out.bytes();
  };
  /** `AnyValue`: string_value or int_value. A oneof is written also when it is zero. */
  const anyValue = (value: string | number): Buffer =>
    message((any) => {
      if (typeof value === "string") any.text(1, value);
      else if (value === 0) any.raw(Buffer.from([0x18, 0]));
      else any.integer(3, value);
    });
  const attributes = (out: MessageWriter, field: number, list: readonly Attribute[]): void => {
    for (const [name, value] of list) {
      if (value === "") continue;
      out.message(
        field,
        message((pair) => {
          pair.text(1, name);
          pair.message(2, anyValue(value));
        }),
      );
    }
  };
  return { message, attributes };
}

/** A double holds milliseconds since the epoch to less than a microsecond. */
export function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}

/** `Resource`. */
export function resourceMessage(newMessage: NewMessage, resource: readonly Attribute[]): Buffer {
  const { message, attributes } = otlpWriting(newMessage);
  return message((inner) => attributes(inner, 1, resource));
}

/** `InstrumentationScope`. */
export function scopeMessage(newMessage: NewMessage, name: string): Buffer {
  return otlpWriting(newMessage).message((scope) => scope.text(1, name));
}
