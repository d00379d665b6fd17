import { test } from "tap";
import { createKindRegistry } from "./index.ts";
import { messageOf, type Message } from "./message.ts";

test("every field of every served kind can be read, and no number is used twice", (t) => {
  const seen = new Set<string>();
  const walk = (message: Message): void => {
    if (seen.has(message.name)) return;
    seen.add(message.name);
    if (message.byNumber.size !== message.fields.length) t.fail(`${message.name} uses a number twice`);
    for (const { type } of message.fields) if (type.is === "message") walk(type.message);
  };
  for (const kind of createKindRegistry().all()) walk(messageOf(kind.message ?? ""));
  for (const name of ["meta.v1.DeleteOptions", "autoscaling.v1.Scale", "authentication.v1.TokenReview"])
    walk(messageOf(name));
  t.ok(seen.size > 300, `${seen.size} messages`);
  t.end();
});

test("field facts", (t) => {
  const field = (message: string, name: string) => {
    const found = messageOf(message).byName.get(name);
    if (found === undefined) throw new Error(`no ${message}.${name}`);
    return found;
  };
  t.match(
    field("core.v1.Container", "ports"),
    { number: 6, of: "list", mergeKey: "containerPort", listType: { is: "map", keys: ["containerPort", "protocol"] } },
    "container ports merge by number, and are told apart by number and protocol",
  );
  t.equal(field("core.v1.Probe", "httpGet").name, "httpGet", "an inlined message's fields are its parent's");
  t.equal(field("apps.v1.DeploymentSpec", "replicas").keepsZero, true, "zero replicas differ from no replicas");
  t.equal(field("core.v1.PodSpec", "containers").required, true, "containers are required");
  t.throws(() => messageOf("core.v1.Nothing"), /no message core.v1.Nothing/);
  t.end();
});
