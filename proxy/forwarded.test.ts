import { test } from "tap";
import { addForwarded } from "./forwarded.ts";
import { HeaderList } from "./headers.ts";

const rows: { name: string; fields: string[]; want: string | undefined }[] = [
  { name: "nothing to make it from", fields: ["Host", "a"], want: undefined },
  {
    name: "first node, host, proto, then the further nodes",
    fields: [
      "X-Forwarded-For",
      "1.2.3.4, 2001:db8::1",
      "X-Forwarded-Host",
      "pub.example.com",
      "X-Forwarded-Proto",
      "https",
    ],
    want: 'for=1.2.3.4;host=pub.example.com;proto=https, for="[2001:db8::1]"',
  },
  {
    name: "a node with a port is quoted as if it were IPv6",
    fields: ["X-Forwarded-For", "1.2.3.4:5678"],
    want: 'for="[1.2.3.4:5678]"',
  },
  { name: "proto alone", fields: ["x-forwarded-proto", "http"], want: "proto=http" },
  {
    name: "several lines",
    fields: ["X-Forwarded-For", "1.1.1.1", "x-forwarded-for", "2.2.2.2"],
    want: "for=1.1.1.1, for=2.2.2.2",
  },
  {
    name: "one that is there stays",
    fields: ["Forwarded", "for=9.9.9.9", "X-Forwarded-For", "1.1.1.1"],
    want: "for=9.9.9.9",
  },
];

for (const { name, fields, want } of rows)
  test(`Forwarded: ${name}`, (t) => {
    const headers = HeaderList.from(fields);
    addForwarded(headers);
    t.equal(headers.get("forwarded"), want);
    t.end();
  });

test("a header list keeps order and spelling and compares without case", (t) => {
  const headers = HeaderList.from(["A", "1", "b-C", "2", "a", "3"]);
  t.equal(headers.get("a"), "1");
  t.strictSame(headers.all("A"), ["1", "3"]);
  headers.set("B-c", "4");
  headers.append("D", "5");
  headers.set("a", "6");
  t.strictSame(headers.raw(), ["A", "6", "b-C", "4", "D", "5"]);
  headers.delete("B-C");
  t.strictSame([headers.has("b-c"), headers.raw()], [false, ["A", "6", "D", "5"]]);
  t.end();
});
