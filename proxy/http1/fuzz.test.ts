import { test } from "tap";
import { requestDifference, responseDifference } from "./corpus/differential.ts";
import { fuzz } from "./fuzz.ts";

test("what is accepted means the same to llhttp, and so does what is passed on", async (t) => {
  await t.resolves(fuzz({ cases: 6000, seed: 20_260_731 }));
});

test("the comparison sees what it is there to see", async (t) => {
  const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  t.equal(requestDifference(get, [3, 9]), undefined, "nothing where both agree");
  t.equal(
    requestDifference(`GET / HTTP/1.1\r\nHost : a\r\n\r\n${get}`, []),
    undefined,
    "nothing where we refuse, whatever llhttp makes of it",
  );
  t.equal(
    await responseDifference("HTTP/1.1 200 OK\r\n\r\nhello", { method: "GET", upgrade: false }, [7]),
    undefined,
    "nothing where both read until the connection ends",
  );
});
