/** A collector of OTLP over HTTP, and what its messages hold, for tests. */
import { createServer } from "node:http";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { startApp, type Teardown } from "./fixture.ts";

/** Fields of a message by number. `wire` 1 gives a bigint, 2 bytes. */
export function fieldsOf(bytes: Uint8Array): { field: number; value: bigint | number | Uint8Array }[] {
  const reader = new BinaryReader(bytes);
  const out: { field: number; value: bigint | number | Uint8Array }[] = [];
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (wire === WireType.Varint) out.push({ field, value: Number(reader.uint64()) });
    else if (wire === WireType.Bit64) out.push({ field, value: BigInt(reader.fixed64()) });
    else out.push({ field, value: reader.bytes() });
  }
  return out;
}
export const text = (value: unknown): string => Buffer.from(value as Uint8Array).toString();
export const hex = (value: unknown): string =>
  value === undefined ? "" : Buffer.from(value as Uint8Array).toString("hex");

export function attributesOf(fields: ReturnType<typeof fieldsOf>, number: number): Record<string, unknown> {
  return Object.fromEntries(
    fields
      .filter(({ field }) => field === number)
      .map(({ value }) => {
        const pair = fieldsOf(value as Uint8Array);
        const any = fieldsOf(pair.find(({ field }) => field === 2)!.value as Uint8Array)[0]!;
        return [text(pair.find(({ field }) => field === 1)!.value), any.field === 1 ? text(any.value) : any.value];
      }),
  );
}

/** The messages in one field. */
export const inner = (bytes: Uint8Array, number: number): Uint8Array[] =>
  fieldsOf(bytes).flatMap(({ field, value }) => (field === number ? [value as Uint8Array] : []));

export interface Collected {
  url: string;
  type: string;
  body: Buffer;
}

/** Takes everything; `onRequest` hears of each. */
export async function startCollector(
  t: Teardown,
  onRequest?: (request: Collected) => void,
): Promise<{ port: number; requests: Collected[] }> {
  const requests: Collected[] = [];
  const collector = createServer((incoming, outgoing) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const request = { url: incoming.url!, type: incoming.headers["content-type"]!, body: Buffer.concat(chunks) };
      requests.push(request);
      outgoing.end();
      onRequest?.(request);
    })();
  });
  return { port: await startApp(t, collector), requests };
}
