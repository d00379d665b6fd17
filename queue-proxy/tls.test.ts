import { once } from "node:events";
import { mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { test } from "tap";
import { makeCertificate } from "./certificate-fixture.ts";
import { get, raw, startApp, startSidecar } from "./fixture.ts";

/** As the kubelet mounts a Secret: links into a folder that is exchanged at once. */
function mount(folder: string, version: number, files: Record<string, string>): void {
  mkdirSync(path.join(folder, `..${version}`));
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, `..${version}`, name), content);
  symlinkSync(`..${version}`, path.join(folder, "..next"));
  renameSync(path.join(folder, "..next"), path.join(folder, "..data"));
  if (version === 1) for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, path.join(folder, name));
}

async function handshake(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  await once(socket, "secureConnect");
  return socket;
}

const newFolder = (): string => mkdtempSync(path.join(tmpdir(), "certs-"));
const settings = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: undefined, curves: undefined } as const;

test("without a certificate there is no TLS port", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const { tlsPort } = await startSidecar(t, { userPort, certificateFolder: newFolder() });
  t.equal(tlsPort, undefined);
});

test("a mounted certificate", async (t) => {
  const folder = newFolder();
  const first = await makeCertificate("first.example");
  mount(folder, 1, { "tls.crt": first.cert, "tls.key": first.key });
  const userPort = await startApp(t, (incoming, outgoing) => outgoing.end(`${incoming.httpVersion} ok`));
  const { port, tlsPort, lines } = await startSidecar(t, { userPort, certificateFolder: folder, tls: settings });
  const nameOf = async (options: ConnectionOptions = {}): Promise<string> => {
    const socket = await handshake(tlsPort!, options);
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  };

  await t.test("serves HTTP/1.1 with the same layers", async (t) => {
    const socket = await handshake(tlsPort!, { ALPNProtocols: ["http/1.1"] });
    t.equal(socket.alpnProtocol, "http/1.1");
    socket.write(get("/", "User-Agent: kube-probe/1\r\nK-Network-Probe: queue\r\n"));
    const [answer] = (await once(socket, "data")) as [Buffer];
    t.match(String(answer), /^HTTP\/1\.1 200 [^]*queue$/);
  });

  await t.test("serves HTTP/2 by ALPN", async (t) => {
    const session = http2.connect(`https://127.0.0.1:${tlsPort}`, { rejectUnauthorized: false });
    t.teardown(() => session.destroy());
    const stream = session.request({ ":path": "/", "user-agent": "kube-probe/1", "k-network-probe": "queue" });
    const [fields] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    t.equal(fields[":status"], 200);
  });

  await t.test("the plain port stays open", async (t) => t.match(await raw(port, get("/")), /1\.1 ok$/));
  await t.test("TLS 1.2 is refused", async (t) => {
    await t.rejects(handshake(tlsPort!, { maxVersion: "TLSv1.2" }));
  });

  await t.test("is read again when it is exchanged, for clients with and without a server name", async (t) => {
    t.equal(await nameOf(), "first.example");
    const second = await makeCertificate("second.example");
    mount(folder, 2, { "tls.crt": second.cert, "tls.key": second.key });
    while (!lines.some((line) => line.includes("the certificate was renewed")))
      await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(await nameOf(), "second.example");
    t.equal(await nameOf({ servername: "any.example" }), "second.example");
  });

  await t.test("halves that do not belong together are ignored", async (t) => {
    const third = await makeCertificate("third.example");
    mount(folder, 3, { "tls.crt": third.cert, "tls.key": first.key });
    while (!lines.some((line) => line.includes("the last one stays")))
      await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(await nameOf(), "second.example");
  });
});

test("versions, cipher suites and curves", async (t) => {
  const folder = newFolder();
  const { cert, key } = await makeCertificate("a.example");
  mount(folder, 1, { "tls.crt": cert, "tls.key": key });
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const { tlsPort } = await startSidecar(t, {
    userPort,
    certificateFolder: folder,
    tls: {
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.2",
      ciphers: "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
      curves: "P-384",
    },
  });
  const rows: { name: string; options: ConnectionOptions; ok: boolean }[] = [
    { name: "the version and suite that are on the list", options: {}, ok: true },
    { name: "another version", options: { minVersion: "TLSv1.3" }, ok: false },
    { name: "another suite", options: { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }, ok: false },
    { name: "another curve", options: { ecdhCurve: "P-256" }, ok: false },
  ];
  for (const { name, options, ok } of rows)
    await t.test(name, async (t) => {
      if (!ok) {
        await t.rejects(handshake(tlsPort!, options));
        return;
      }
      const socket = await handshake(tlsPort!, options);
      t.match([socket.getProtocol(), socket.getCipher().name], ["TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"]);
      socket.destroy();
    });
});
