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

export interface DecodedMetric {
  scope: string;
  unit: string;
  /** Undefined: a gauge. */
  temporality: number | undefined;
  points: { attributes: Record<string, unknown>; value: number; counts: number[]; bounds: number[]; times: bigint[] }[];
}

const doubleOf = (bits: bigint): number => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(bits);
  return bytes.readDoubleLE();
};
const numbers = (packed: Uint8Array, read: (bytes: Buffer, at: number) => number): number[] =>
  Array.from({ length: packed.length / 8 }, (_, at) => read(Buffer.from(packed), 8 * at));

/** An ExportMetricsServiceRequest: `value` is a gauge's or a sum's, or a histogram's sum. */
export function decodedMetrics(request: Uint8Array): {
  resource: Record<string, unknown>;
  metrics: Map<string, DecodedMetric>;
} {
  const [resourceMetrics] = inner(request, 1);
  const metrics = new Map<string, DecodedMetric>();
  for (const scopeMetrics of inner(resourceMetrics!, 2)) {
    const scope = text(inner(inner(scopeMetrics, 1)[0]!, 1)[0]);
    for (const metric of inner(scopeMetrics, 2)) {
      const [gauge] = [...inner(metric, 5), ...inner(metric, 7)];
      const data = gauge ?? inner(metric, 9)[0]!;
      const points = inner(data, 1).map((bytes) => {
        const fields = fieldsOf(bytes);
        const of = (number: number) => fields.find(({ field }) => field === number)?.value;
        const counts = numbers(inner(bytes, 6)[0] ?? new Uint8Array(), (b, at) => Number(b.readBigUInt64LE(at)));
        const bounds = numbers(inner(bytes, 7)[0] ?? new Uint8Array(), (b, at) => b.readDoubleLE(at));
        const value = doubleOf((of(gauge === undefined ? 5 : 4) ?? 0n) as bigint);
        if (gauge === undefined) checkCount(Number(of(4)), counts);
        return {
          attributes: attributesOf(fields, gauge === undefined ? 9 : 7),
          value,
          counts,
          bounds,
          times: [of(2) as bigint, of(3) as bigint],
        };
      });
      const temporality = fieldsOf(data).find(({ field }) => field === 2)?.value as number | undefined;
      metrics.set(text(inner(metric, 1)[0]), { scope, unit: text(inner(metric, 3)[0] ?? []), temporality, points });
    }
  }
  return { resource: attributesOf(fieldsOf(inner(resourceMetrics!, 1)[0]!), 1), metrics };
}

/** A point's count is the sum of its buckets. */
function checkCount(count: number, counts: readonly number[]): void {
  const sum = counts.reduce((total, one) => total + one, 0);
  if (count !== sum) throw new Error(`a count of ${count} over buckets of ${sum}`);
}
