import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type Test } from "tap";
import { checkCorrectness } from "../correctness.ts";
import { summary } from "../summary.ts";
import { answerOf, loadScenarios, tokenHeader, type LoadScenario } from "../scenarios.ts";
import { closedLoop } from "./closed-loop.ts";
import { openLoop } from "./open-loop.ts";

const named = (name: string): LoadScenario => loadScenarios.find((scenario) => scenario.name === name)!;
const small = named("keep-alive-small");

async function serve(t: Test, listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

/** The app's answer, with what the test changes. */
const answer =
  (change: { status?: number; body?: Buffer; token?: string } = {}): RequestListener =>
  (request, response) => {
    const body = change.body ?? answerOf(12);
    const token = change.token ?? request.headers[tokenHeader];
    response.writeHead(change.status ?? 200, { "content-length": body.length, [tokenHeader]: token });
    response.end(body);
  };

const wrong = [
  { name: "another status", change: { status: 503 }, message: /status 503/ },
  { name: "a shorter body", change: { body: answerOf(11) }, message: /11 bytes that is not the app's 12/ },
  { name: "a body of the right length with other bytes", change: { body: Buffer.alloc(12) }, message: /12 bytes that/ },
  { name: "a header field that did not come through", change: { token: "" }, message: /x-bench-token/ },
];

for (const { name, change, message } of wrong)
  test(`a contender with ${name} is found out before it is measured`, async (t) => {
    const target = await serve(t, answer(change));
    await t.rejects(checkCorrectness(target, small), { message });
  });

for (const scenario of [small, named("fresh-small")]) {
  test(`${scenario.name}: every request of a saturating load is counted once`, async (t) => {
    let served = 0;
    const right = answer();
    const target = await serve(t, (request, response) => {
      served += 1;
      right(request, response);
    });
    await checkCorrectness(target, scenario);
    const { requests, errors } = await closedLoop({
      is: "closed",
      target,
      scenario,
      warmMs: 1,
      measureMs: 100,
      pids: [],
    });
    t.equal(errors, 0);
    t.ok(requests > 0 && requests <= served, `${requests} of ${served}`);
  });

  test(`${scenario.name}: answers with another status are errors, not requests`, async (t) => {
    const target = await serve(t, answer({ status: 503 }));
    const found = await closedLoop({ is: "closed", target, scenario, warmMs: 1, measureMs: 50, pids: [] });
    t.equal(found.requests, 0);
    t.ok(found.errors > 0);
  });

  test(`${scenario.name}: a schedule is kept to the last request`, async (t) => {
    const target = await serve(t, answer());
    const found = await openLoop({ is: "open", target, scenario, requestsPerSecond: 1000, durationMs: 100 });
    t.match(found, { completed: 100, errors: 0 });
    t.ok(found.p50Ms > 0 && found.p50Ms <= found.p99Ms);
  });
}

test("a schedule's latency counts from the scheduled time, so a stall shows in every request behind it", async (t) => {
  const right = answer();
  let first = true;
  const stallMs = 300;
  const target = await serve(t, (request, response) => {
    // Blocks this process, generator included: the schedule goes on all the same.
    if (first) for (const untilMs = performance.now() + stallMs; performance.now() < untilMs;);
    first = false;
    right(request, response);
  });
  const found = await openLoop({ is: "open", target, scenario: small, requestsPerSecond: 200, durationMs: 200 });
  t.match(found, { completed: 40, errors: 0 });
  t.ok(found.p50Ms > stallMs - 200, `${found.p50Ms} ms`);
});

test("ratios are taken within a round: a machine that becomes slow does not shift them", (t) => {
  const rows = [1, 2, 3].flatMap((round) => {
    const slow = round === 1 ? 1 : 5;
    const row = { scenario: small.name, round, generator: "ours" };
    return [
      { ...row, contender: "haproxy", cpuMicrosPerRequest: 20 * slow },
      { ...row, contender: "queue-proxy", cpuMicrosPerRequest: 35 * slow },
    ];
  });
  t.match(summary(rows), /queue-proxy +175\.0 \(35\.0–175\.0\) +1\.75 /);
  t.end();
});
