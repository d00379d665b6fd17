import { test } from "tap";
import { duplicateFields } from "./duplicate-fields.ts";

test("what a JSON text gives twice", (t) => {
  const cases = [
    { name: "nothing", text: '{"a":{"b":1},"c":{"b":1}}', want: [] },
    { name: "a member", text: '{"a":1,"b":2,"a":3}', want: ["a"] },
    {
      name: "one of an object in a list",
      text: '{"spec":{"containers":[{},{"name":"x", "name":"y"}]}}',
      want: ["spec.containers[1].name"],
    },
    { name: "the same three times, once", text: '{"a":1,"a":2,"a":3}', want: ["a"] },
    { name: "a name that is spelled in two ways", text: '{"a":1,"\\u0061":2}', want: ["a"] },
    {
      name: "nothing in what only looks like members",
      text: '{"a":"{\\"b\\":1,\\"b\\":2}","c":[true,null,-1.5e3,"}"]}',
      want: [],
    },
    { name: "with space wherever it may be", text: ' {\n"a" : [ ] , "b" : { } , "b" :\t1 } ', want: ["b"] },
    { name: "no object at all", text: "12", want: [] },
  ];
  for (const { name, text, want } of cases) t.same(duplicateFields(text), want, name);
  t.end();
});
