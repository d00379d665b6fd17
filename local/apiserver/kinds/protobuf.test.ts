import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { test } from "tap";
import { decodeProtobuf } from "./protobuf.ts";

// Written with another library's encoder, field by field as the public .proto files number them.
type Part = (to: BinaryWriter) => void;
const text =
  (number: number, value: string): Part =>
  (to) =>
    to.tag(number, WireType.LengthDelimited).string(value);
const bytes =
  (number: number, value: Uint8Array): Part =>
  (to) =>
    to.tag(number, WireType.LengthDelimited).bytes(value);
const integer =
  (number: number, value: number): Part =>
  (to) =>
    to.tag(number, WireType.Varint).int64(value);
const message =
  (number: number, ...parts: Part[]): Part =>
  (to) => {
    to.tag(number, WireType.LengthDelimited).fork();
    for (const part of parts) part(to);
    to.join();
  };
const finish = (...parts: Part[]): Uint8Array => {
  const writer = new BinaryWriter();
  for (const part of parts) part(writer);
  return writer.finish();
};
const body = (apiVersion: string, kind: string, ...parts: Part[]): Uint8Array =>
  Buffer.concat([
    Buffer.from("k8s\0"),
    finish(message(1, text(1, apiVersion), text(2, kind)), bytes(2, finish(...parts)), text(3, ""), text(4, "")),
  ]);

test("protobuf bodies decode to what the same object is as JSON", (t) => {
  const cases = [
    {
      name: "a ConfigMap: maps, bytes, and the empty values that Go always writes",
      bytes: body(
        "v1",
        "ConfigMap",
        message(
          1,
          text(1, "settings"),
          text(2, ""),
          text(3, "demo"),
          integer(7, 0),
          message(8),
          message(11, text(1, "a"), text(2, "b")),
        ),
        message(2, text(1, "k"), text(2, "v")),
        message(2, text(1, "empty"), text(2, "")),
        message(3, text(1, "bin"), bytes(2, Uint8Array.from([0xff, 0x00]))),
        integer(4, 0),
      ),
      want: {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "settings", namespace: "demo", labels: { a: "b" } },
        data: { k: "v", empty: "" },
        binaryData: { bin: "/wA=" },
        immutable: false,
      },
    },
    {
      name: "a Lease: times to the second and to the microsecond",
      bytes: body(
        "coordination.k8s.io/v1",
        "Lease",
        message(1, text(1, "l"), message(8, integer(1, 1_700_000_000), integer(2, 0))),
        message(2, text(1, "me"), integer(2, 15), message(4, integer(1, 1_700_000_000), integer(2, 123_456_000))),
      ),
      want: {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name: "l", creationTimestamp: "2023-11-14T22:13:20Z" },
        spec: { holderIdentity: "me", leaseDurationSeconds: 15, renewTime: "2023-11-14T22:13:20.123456Z" },
      },
    },
    {
      name: "a Deployment: zero replicas stay, inlined probes, quantities, int-or-string, negative numbers",
      bytes: body(
        "apps/v1",
        "Deployment",
        message(1, text(1, "web")),
        message(
          2,
          integer(1, 0),
          message(
            3,
            message(
              2,
              message(
                2,
                text(1, "app"),
                message(8, message(1, text(1, "cpu"), message(2, text(1, "100m")))),
                message(
                  11,
                  message(1, message(2, text(1, "/up"), message(2, integer(1, 1), integer(2, 0), text(3, "http")))),
                  integer(2, 5),
                ),
                integer(16, 0),
              ),
              integer(5, -1),
            ),
          ),
          message(4, text(1, ""), message(2, message(1, integer(1, 0), integer(2, 1), text(3, "")))),
        ),
      ),
      want: {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "web" },
        spec: {
          replicas: 0,
          template: {
            spec: {
              containers: [
                {
                  name: "app",
                  resources: { limits: { cpu: "100m" } },
                  readinessProbe: { httpGet: { path: "/up", port: "http" }, initialDelaySeconds: 5 },
                },
              ],
              activeDeadlineSeconds: -1,
            },
          },
          strategy: { rollingUpdate: { maxUnavailable: 1 } },
        },
      },
    },
    {
      name: "a CustomResourceDefinition: schemas that are one of several things",
      bytes: body(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        message(
          2,
          message(
            7,
            text(1, "v1"),
            message(
              4,
              message(
                1,
                text(5, "object"),
                message(30, integer(1, 0), message(2, text(5, "string"))),
                message(8, bytes(1, Buffer.from('{"a":1}'))),
              ),
            ),
          ),
        ),
      ),
      want: {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        spec: {
          versions: [
            {
              name: "v1",
              schema: {
                openAPIV3Schema: { type: "object", additionalProperties: { type: "string" }, default: { a: 1 } },
              },
            },
          ],
        },
      },
    },
    {
      name: "DeleteOptions, under any group",
      bytes: body("apps/v1", "DeleteOptions", integer(1, 0), message(2, text(1, "u")), text(4, "Background")),
      want: {
        apiVersion: "apps/v1",
        kind: "DeleteOptions",
        gracePeriodSeconds: 0,
        preconditions: { uid: "u" },
        propagationPolicy: "Background",
      },
    },
  ];
  for (const { name, bytes, want } of cases) t.same(decodeProtobuf(bytes), want, name);
  t.end();
});

test("what is no such body is refused", (t) => {
  const good = body("v1", "ConfigMap", message(1, text(1, "settings")));
  const deep = (levels: number): Part => (levels === 0 ? text(5, "object") : message(28, deep(levels - 1)));
  const cases = [
    { name: "other bytes", bytes: Buffer.from("{}"), want: /does not appear to be a protobuf message/ },
    { name: "a cut body", bytes: good.subarray(0, -5), want: /unexpected EOF/ },
    {
      name: "a length beyond the end",
      bytes: Buffer.concat([Buffer.from("k8s\0"), Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x0f])]),
      want: /unexpected EOF/,
    },
    {
      name: "a varint without end",
      bytes: Buffer.concat([Buffer.from("k8s\0"), Buffer.alloc(12, 0xff)]),
      want: /integer overflow/,
    },
    {
      name: "a kind without protobuf",
      bytes: body("serving.knative.dev/v1", "Service"),
      want: /no kind "Service" is registered for version "serving.knative.dev\/v1"/,
    },
    {
      name: "endless nesting",
      bytes: body(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        message(2, message(7, message(4, message(1, deep(200))))),
      ),
      want: /nested too deeply/,
    },
  ];
  for (const { name, bytes, want } of cases)
    t.throws(() => decodeProtobuf(bytes), { name: "DecodeError", message: want }, name);
  t.end();
});
