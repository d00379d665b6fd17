import { test } from "tap";
import { difference, intersection, pathsOf, union, type Fields } from "./field-set.ts";

const containers: Fields = { 'k:{"name":"a"}': { ".": {}, "f:image": {} }, 'k:{"name":"b"}': { ".": {} } };
const fields: Fields = { "f:spec": { "f:replicas": {}, "f:containers": containers } };

test("sets of fields", (t) => {
  const cases: { name: string; got: Fields; want: string[] }[] = [
    {
      name: "tell their paths",
      got: fields,
      want: [
        '.spec.containers[name="a"]',
        '.spec.containers[name="a"].image',
        '.spec.containers[name="b"]',
        ".spec.replicas",
      ],
    },
    {
      name: "a place with parts and without are both",
      got: union({ "f:a": {} }, { "f:a": { "f:b": {} } }),
      want: [".a", ".a.b"],
    },
    { name: "of nothing and something is something", got: union({}, { "f:a": {} }), want: [".a"] },
    {
      name: "lose a part and keep its place",
      got: difference({ "f:a": { ".": {}, "f:b": {} } }, { "f:a": { "f:b": {} } }),
      want: [".a"],
    },
    {
      name: "lose a place and keep its parts",
      got: difference({ "f:a": { ".": {}, "f:b": {} } }, { "f:a": {} }),
      want: [".a.b"],
    },
    {
      name: "lose a place with its parts",
      got: difference({ "f:a": { ".": {}, "f:b": {} }, "f:c": {} }, { "f:a": {} }, true),
      want: [".c"],
    },
    {
      name: "share what is in both",
      got: intersection(fields, { "f:spec": { "f:replicas": {}, "f:x": {} } }),
      want: [".spec.replicas"],
    },
    {
      name: "share no place of which one has only parts",
      got: intersection({ "f:a": {} }, { "f:a": { "f:b": {} } }),
      want: [],
    },
  ];
  for (const { name, got, want } of cases) t.same(pathsOf(got), want, name);
  t.equal(difference(fields, { "f:other": {} }), fields, "nothing is copied where nothing goes");
  t.end();
});
