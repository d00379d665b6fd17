import { test } from "tap";
import type { KubeObject } from "../../../api/meta.ts";
import type { FieldCause, Kind } from "../kind.ts";
import { createKindRegistry } from "./index.ts";

type Schema = Record<string, unknown>;
const version = (spec: Schema, more: object = {}) => ({
  name: "v1",
  served: true,
  storage: true,
  schema: {
    openAPIV3Schema: {
      type: "object",
      properties: { spec, status: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
    },
  },
  ...more,
});
const crd = (versions: object[], more: object = {}): KubeObject =>
  ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "widgets.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "widgets", kind: "Widget" },
      versions,
      ...more,
    },
  }) as KubeObject;

function kindOf(spec: Schema, more?: object): Kind {
  const registry = createKindRegistry();
  const problems = registry.putCrd(crd([version(spec, more)]));
  const kind = registry.find("example.com", "v1", "widgets");
  if (problems.length > 0 || kind === undefined) throw new Error(JSON.stringify(problems));
  return kind;
}
const widget = (spec: unknown, more: object = {}): KubeObject =>
  ({ apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" }, spec, ...more }) as KubeObject;
const texts = (causes: FieldCause[]): string[] => causes.map(({ field, message }) => `${field}: ${message}`);

const object = (properties: Schema, more: Schema = {}): Schema => ({ type: "object", properties, ...more });
const string = { type: "string" };

test("pruning", (t) => {
  const open = { "x-kubernetes-preserve-unknown-fields": true };
  const cases = [
    {
      name: "drops what is not specified",
      schema: object({ a: string }),
      spec: { a: "x", b: 1 },
      want: { a: "x" },
      unknown: ["spec.b"],
    },
    {
      name: "looks into lists and maps",
      schema: object({
        l: { type: "array", items: object({ a: string }) },
        m: { type: "object", additionalProperties: object({ a: string }) },
      }),
      spec: { l: [{ a: "1" }, { b: 1 }], m: { k: { a: "1", c: 1 } } },
      want: { l: [{ a: "1" }, {}], m: { k: { a: "1" } } },
      unknown: ["spec.l[1].b", "spec.m.k.c"],
    },
    {
      name: "keeps unknown fields where asked",
      schema: object({ a: object({}, open) }),
      spec: { a: { x: { y: 1 } } },
      want: { a: { x: { y: 1 } } },
      unknown: [],
    },
    {
      name: "prunes what is specified beneath such a place",
      schema: object({ a: object({ known: object({ b: string }) }, open) }),
      spec: { a: { known: { b: "x", c: 1 }, free: 1 } },
      want: { a: { known: { b: "x" }, free: 1 } },
      unknown: ["spec.a.known.c"],
    },
    {
      name: "keeps an embedded resource's own fields",
      schema: object({ r: object({}, { "x-kubernetes-embedded-resource": true }) }),
      spec: { r: { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, other: 1 } },
      want: { r: { apiVersion: "v1", kind: "Pod", metadata: { name: "p" } } },
      unknown: ["spec.r.other"],
    },
  ];
  for (const { name, schema, spec, want, unknown } of cases) {
    const result = kindOf(schema).prune(widget(spec));
    t.same([result.object, result.unknownFields], [widget(want), unknown], name);
  }
  const inMetadata = kindOf(object({})).prune(widget({}, { metadata: { name: "w", lables: {} } }));
  t.same(inMetadata.unknownFields, ["metadata.lables"], "metadata is every kind's");
  t.throws(() => kindOf(object({})).prune(widget({}, { metadata: { name: 1 } })), { name: "DecodeError" });
  t.end();
});

test("defaulting", (t) => {
  const schema = object({
    size: { type: "integer", default: 3 },
    box: object({ on: { type: "boolean", default: true } }, { default: {} }),
    absent: object({ on: { type: "boolean", default: true } }),
    list: { type: "array", items: object({ p: { type: "string", default: "x" } }) },
    maybe: { type: "integer", nullable: true, default: 1 },
  });
  const cases = [
    { name: "fills what is absent, also in what it filled", spec: {}, want: { size: 3, box: { on: true }, maybe: 1 } },
    {
      name: "keeps what is there",
      spec: { size: 0, box: { on: false }, maybe: 2 },
      want: { size: 0, box: { on: false }, maybe: 2 },
    },
    {
      name: "fills list items and present objects",
      spec: { list: [{}], absent: {} },
      want: { size: 3, box: { on: true }, maybe: 1, list: [{ p: "x" }], absent: { on: true } },
    },
    {
      name: "replaces null where none is allowed",
      spec: { size: null, maybe: null },
      want: { size: 3, box: { on: true }, maybe: null },
    },
  ];
  const kind = kindOf(schema);
  for (const { name, spec, want } of cases) {
    const made = widget(spec);
    kind.applyDefaults(made);
    t.same(made, widget(want), name);
  }
  t.end();
});

test("validation speaks as Kubernetes does", (t) => {
  const cases = [
    {
      name: "a required field",
      schema: object({ a: string }, { required: ["a"] }),
      spec: {},
      want: ["spec.a: Required value"],
    },
    {
      name: "a wrong type",
      schema: object({ a: { type: "integer" } }),
      spec: { a: "x" },
      want: ['spec.a: Invalid value: "string": spec.a in body must be of type integer: "string"'],
    },
    {
      name: "null",
      schema: object({ a: string }),
      spec: { a: null },
      want: ['spec.a: Invalid value: "null": spec.a in body must be of type string: "null"'],
    },
    { name: "an allowed null", schema: object({ a: { ...string, nullable: true } }), spec: { a: null }, want: [] },
    { name: "an integer is a number", schema: object({ a: { type: "number" } }), spec: { a: 1 }, want: [] },
    {
      name: "a value outside of the enum",
      schema: object({ a: { ...string, enum: ["x", "y"] } }),
      spec: { a: "z" },
      want: ['spec.a: Unsupported value: "z": supported values: "x", "y"'],
    },
    {
      name: "too small",
      schema: object({ a: { type: "integer", minimum: 1 } }),
      spec: { a: 0 },
      want: ["spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1"],
    },
    {
      name: "not below an exclusive maximum",
      schema: object({ a: { type: "integer", maximum: 9, exclusiveMaximum: true } }),
      spec: { a: 9 },
      want: ["spec.a: Invalid value: 9: spec.a in body should be less than 9"],
    },
    {
      name: "a pattern",
      schema: object({ a: { ...string, pattern: "^[a-z]+$" } }),
      spec: { a: "A" },
      want: ["spec.a: Invalid value: \"A\": spec.a in body should match '^[a-z]+$'"],
    },
    {
      name: "too short",
      schema: object({ a: { ...string, minLength: 2 } }),
      spec: { a: "é" },
      want: ['spec.a: Invalid value: "é": spec.a in body should be at least 2 chars long'],
    },
    {
      name: "too long",
      schema: object({ a: { ...string, maxLength: 2 } }),
      spec: { a: "abc" },
      want: ["spec.a: Too long: may not be more than 2 bytes"],
    },
    {
      name: "a format",
      schema: object({ a: { ...string, format: "date-time" } }),
      spec: { a: "now" },
      want: ['spec.a: Invalid value: "now": spec.a in body must be of type date-time: "now"'],
    },
    {
      name: "too many items",
      schema: object({ a: { type: "array", maxItems: 1, items: string } }),
      spec: { a: ["x", "y"] },
      want: ["spec.a: Too many: 2: must have at most 1 items"],
    },
    {
      name: "an item of a list",
      schema: object({ a: { type: "array", items: string } }),
      spec: { a: ["x", 1] },
      want: ['spec.a[1]: Invalid value: "integer": spec.a[1] in body must be of type string: "integer"'],
    },
    {
      name: "a repeated key",
      schema: object({
        a: {
          type: "array",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["k"],
          items: object({ k: string }),
        },
      }),
      spec: { a: [{ k: "1" }, { k: "1" }] },
      want: ['spec.a[1]: Duplicate value: {"k":"1"}'],
    },
    {
      name: "an integer or a string",
      schema: object({ a: { "x-kubernetes-int-or-string": true }, b: { "x-kubernetes-int-or-string": true } }),
      spec: { a: 1, b: "50%" },
      want: [],
    },
    {
      name: "neither",
      schema: object({ a: { "x-kubernetes-int-or-string": true } }),
      spec: { a: true },
      want: ['spec.a: Invalid value: "boolean": spec.a in body must be of type integer,string: "boolean"'],
    },
    {
      name: "exactly one of several",
      schema: object({ a: string, b: string }, { oneOf: [{ required: ["a"] }, { required: ["b"] }] }),
      spec: { a: "1", b: "2" },
      want: ['spec: Invalid value: "": "spec" must validate one and only one schema (oneOf)'],
    },
  ];
  for (const { name, schema, spec, want } of cases)
    t.same(texts(kindOf(schema).validate(widget(spec), undefined)), want, name);
  t.end();
});

test("printer columns", (t) => {
  const columns = [
    { name: "Ready", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: "Desired", type: "integer", jsonPath: ".spec.size", priority: 1 },
    { name: "Since", type: "date", jsonPath: ".metadata.creationTimestamp" },
    { name: "First", type: "string", jsonPath: ".status.list[0]" },
    { name: "Note", type: "string", jsonPath: ".metadata.annotations.example\\.com/note" },
  ];
  const kind = kindOf(object({ size: { type: "integer" } }), { additionalPrinterColumns: columns });
  t.same(
    kind.columns.map((one) => [one.name, one.priority]),
    [
      ["Name", 0],
      ["Ready", 0],
      ["Desired", 1],
      ["Since", 0],
      ["First", 0],
      ["Note", 0],
    ],
    "no age that was not asked for",
  );
  const stored = widget(
    { size: 3 },
    {
      metadata: { name: "w", creationTimestamp: "2024-01-01T00:00:00Z", annotations: { "example.com/note": "hi" } },
      status: {
        conditions: [
          { type: "Other", status: "False" },
          { type: "Ready", status: "True" },
        ],
        list: [{ a: 1 }],
      },
    },
  );
  const nowMs = Date.parse("2024-01-01T00:03:20Z");
  t.same(
    kind.columns.map((one) => one.cell(stored, nowMs)),
    ["w", "True", 3, "3m20s", '{"a":1}', "hi"],
  );
  t.same(
    kind.columns.map((one) => one.cell(widget({}), nowMs)),
    ["w", null, null, null, null, null],
    "nothing is shown of what is absent",
  );
  t.same(
    kindOf(object({})).columns.map((one) => one.name),
    ["Name", "Age"],
    "the usual two where none are declared",
  );
  t.end();
});

test("a definition that cannot be served says why", (t) => {
  const cases = [
    {
      name: "another name than its plural and group",
      crd: { ...crd([version(object({}))]), metadata: { name: "w.example.com" } },
      want: 'metadata.name: Invalid value: "w.example.com": must be spec.names.plural+"."+spec.group',
    },
    {
      name: "no schema",
      crd: crd([{ ...version(object({})), schema: {} }]),
      want: "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
    },
    {
      name: "two storage versions",
      crd: crd([version(object({})), { ...version(object({})), name: "v2" }]),
      want: 'spec.versions: Invalid value: ["v1","v2"]: must have exactly one version marked as storage version',
    },
    {
      name: "a place without a type",
      crd: crd([version(object({ a: {} }))]),
      want: "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].type: Required value: must not be empty for specified object fields",
    },
    {
      name: "a column that cannot be read",
      crd: crd([version(object({}), { additionalPrinterColumns: [{ name: "X", type: "string", jsonPath: ".a[" }] })]),
      want: 'spec.versions[0].additionalPrinterColumns[0].jsonPath: Invalid value: ".a[": is not a valid jsonpath: cannot read the JSONPath .a[ from "["',
    },
  ];
  for (const { name, crd, want } of cases) t.same(texts(createKindRegistry().putCrd(crd)), [want], name);
  const registry = createKindRegistry();
  t.same(registry.putCrd(crd([version(object({}))])), []);
  const twin = {
    ...crd([version(object({}))], { names: { plural: "gadgets", kind: "Widget" } }),
    metadata: { name: "gadgets.example.com" },
  };
  t.same(texts(registry.putCrd(twin)), ['spec.names.kind: Invalid value: "Widget": "Widget" is already in use']);
  registry.removeCrd("widgets.example.com");
  t.equal(registry.find("example.com", "v1", "widgets"), undefined);
  t.same(registry.putCrd(twin), [], "the name is free again");
  t.end();
});
