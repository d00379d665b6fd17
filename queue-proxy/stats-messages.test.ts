import * as fc from "fast-check";
import { test } from "tap";
import { PodDirective, PodReport, type PodState } from "../proto/gen/stats.ts";
import { decodeDirective, encodeHello, encodeLoad } from "./stats-messages.ts";

const whole = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const sequence = fc.maxSafeNat();
const double = fc.double({ min: 0, noNaN: true });

const hello = fc.record({
  namespace: fc.string({ unit: "binary" }),
  revision: fc.string(),
  pod: fc.string({ maxLength: 400 }),
  token: fc.string(),
  servingPort: whole,
  epoch: double,
});
const load = fc.record({
  clockMs: double,
  requestSeconds: double,
  proxiedRequestSeconds: double,
  arrivals: double,
  proxiedArrivals: double,
  inFlight: whole,
  proxiedInFlight: whole,
});
const podLoad = fc.record({
  sequence,
  state: fc.constantFrom<PodState[]>(0, 1, 2, 3, 4),
  load: fc.option(load, { nil: undefined }),
});

test("reports are byte for byte what the generated code writes", (t) => {
  fc.assert(
    fc.property(hello, (value) => {
      const generated = PodReport.encode({ body: { $case: "hello", value } }).finish();
      return encodeHello(value).equals(generated);
    }),
  );
  fc.assert(
    fc.property(podLoad, (value) => {
      const generated = PodReport.encode({ body: { $case: "load", value } }).finish();
      return encodeLoad(value).equals(generated);
    }),
  );
  t.end();
});

test("directives of the generated code are read, with fields that are not known yet", (t) => {
  fc.assert(
    fc.property(sequence, fc.uint8Array({ maxLength: 300 }), fc.option(fc.ipV6()), (acknowledged, unknown, address) => {
      const owner = address ?? undefined;
      const known = Buffer.from(PodDirective.encode({ acknowledged, owner }).finish());
      const extra = Buffer.concat([
        Buffer.from([0x7a, unknown.length & 0x7f]),
        unknown.subarray(0, unknown.length & 0x7f),
      ]);
      const numbers = Buffer.from([0x20, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4]);
      const read = decodeDirective(Buffer.concat([extra, numbers, known]));
      return read.acknowledged === acknowledged && read.owner === owner;
    }),
  );
  t.throws(() => decodeDirective(Buffer.from([0x08, 0x80])), /does not end/);
  t.throws(() => decodeDirective(Buffer.from([0x7a, 0x05, 0x00])), /cut off/);
  t.throws(() => decodeDirective(Buffer.from([0x0b])), /wire type 3/);
  t.end();
});
