// data-plane 1.9: which requests are answered here, and with what.
import { test } from "tap";
import { closedPort, get, heldApp, raw, startApp, startDraining, startSidecar } from "../fixture.ts";

const plain = "Content-Type: text/plain; charset=utf-8\\r\\n";
const nosniff = "X-Content-Type-Options: nosniff\\r\\n";
const agents = ["kube-probe/1.36", "Knative-Activator-Probe", "Knative-Autoscaling-Probe"];
const queueUp = new RegExp(`^HTTP/1\\.1 200 OK\\r\\n${plain}Content-Length: 5\\r\\n[^]*\\r\\n\\r\\nqueue$`);
const queueDown = /^HTTP\/1\.1 503 [^]*swell-error: not-ready\r\nContent-Length: 0\r\n[^]*\r\n\r\n$/;
const wrong = (value: string): RegExp =>
  new RegExp(
    `^HTTP/1\\.1 400 Bad Request\\r\\n${plain}${nosniff}swell-error: unexpected-probe\\r\\n[^]*\\r\\n\\r\\nunexpected probe header value: ${value}\\n$`,
  );
const shuttingDown = new RegExp(
  `^HTTP/1\\.1 503 Service Unavailable\\r\\n${plain}${nosniff}swell-error: draining\\r\\n[^]*\\r\\n\\r\\nshutting down\\n$`,
);

interface Row {
  name: string;
  send: string;
  serving: RegExp;
  /** While the app fails its probe; as `serving` when left out. */
  failing?: RegExp;
}

const answered: Row[] = [
  ...agents.flatMap((agent): Row[] => [
    {
      name: `${agent} asks for the queue`,
      send: `User-Agent: ${agent}\r\nK-Network-Probe: queue\r\n`,
      serving: queueUp,
      failing: queueDown,
    },
    { name: `${agent} names nothing`, send: `User-Agent: ${agent}\r\n`, serving: wrong("") },
    {
      name: `${agent} asks for the activator`,
      send: `User-Agent: ${agent}\r\nK-Network-Probe: activator\r\n`,
      serving: wrong("activator"),
    },
  ]),
  {
    name: "an ingress sends a hash",
    send: "K-Network-Probe: probe\r\nK-Network-Hash: abc\r\n",
    serving: /^HTTP\/1\.1 200 OK\r\nK-Network-Hash: abc\r\nContent-Length: 0\r\n/,
  },
  {
    name: "an ingress forgets the hash",
    send: "K-Network-Probe: probe\r\n",
    serving: new RegExp(
      `^HTTP/1\\.1 400 Bad Request\\r\\n${plain}${nosniff}swell-error: probe-without-hash\\r\\n[^]*\\r\\n\\r\\na probe request must contain a non-empty "K-Network-Hash" header\\n$`,
    ),
  },
];

const ordinary = [
  { name: "K-Network-Probe: queue from somebody else", send: "K-Network-Probe: queue\r\n" },
  { name: "K-Network-Probe: activator from somebody else", send: "K-Network-Probe: activator\r\n" },
  { name: "K-Kubelet-Probe", send: "K-Kubelet-Probe: 1\r\n" },
  { name: "a hash without a probe", send: "K-Network-Hash: abc\r\n" },
  { name: "an agent that only ends like a kubelet", send: "User-Agent: my-kube-probe/1\r\n" },
];

test("probes", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const up = await startApp(t, () => {});
  const probe = { periodMs: 1000, timeoutMs: 1000, successThreshold: 1, failureThreshold: 3 };
  const tcp = (port: number) => [{ ...probe, action: { is: "tcp" as const, host: "127.0.0.1", port } }];
  const serving = await startSidecar(t, { userPort, probes: tcp(up) });
  const failing = await startSidecar(t, { userPort, probes: tcp(await closedPort()) });
  const unprobed = await startSidecar(t, { userPort });
  const draining = await startDraining(t, userPort);

  for (const { name, send, serving: want, failing: wantFailing = want } of answered)
    await t.test(name, async (t) => {
      t.match(await raw(serving.port, get("/any/path?x", send)), want, "serving");
      t.match(await raw(failing.port, get("/", send)), wantFailing, "the app fails its probe");
      t.match(await raw(unprobed.port, get("/", send)), want, "without a probe it is always ready");
      t.match(await raw(draining, get("/", send)), shuttingDown, "draining");
    });
  t.equal(app.arrived.length, 0, "none reached the app");
  for (const { load } of [serving, failing, unprobed]) t.match(load(), { arrivals: 0, inFlight: 0 }, "nor was counted");

  for (const { name, send } of ordinary)
    await t.test(`${name} is an ordinary request`, async (t) => {
      const before = app.arrived.length;
      const answers = [raw(serving.port, get("/", send)), raw(draining, get("/", send))];
      await app.until(before + 2);
      for (const { answer } of app.arrived.slice(before)) answer("the app's");
      for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 200 [^]*the app's$/);
    });
  t.equal(serving.load().arrivals, ordinary.length, "better than the original: all of them are counted");
});
