/** What only a real kubectl can tell: that it reads the OpenAPI documents, columns and messages. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "tap";
import { silentLogger } from "../../../process/logger.ts";
import { kubeconfig, loadCredentials } from "../../credentials.ts";
import { startApiServer } from "../server.ts";

// A second kubectl, from before server-side validation, can be named to run the same.
const binaries = ["kubectl", ...(process.env["SWELL_OLD_KUBECTL"] ? [process.env["SWELL_OLD_KUBECTL"]] : [])].filter(
  (name) => spawnSync(name, ["version", "--client"]).status === 0,
);
const crds = new URL("../../../manifests/crds/", import.meta.url);

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: web, image: "dev.local/web:1", env: [{ name: A, value: "1" }, { name: B, value: "2" }] }
        - { name: side, image: "dev.local/side:1" }
`;
const service = `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: hello }
spec: { template: { spec: { containers: [{ image: dev.local/hello }] } } }
`;

if (binaries.length === 0) test("kubectl", { skip: "kubectl is not on PATH" }, (t) => t.end());

for (const binary of binaries)
  test(binary, async (t) => {
    const folder = t.testdir();
    const credentials = await loadCredentials(path.join(folder, "keys"), Date.now());
    const server = await startApiServer({
      file: path.join(folder, "state.sqlite"),
      addresses: [{ host: "127.0.0.1", port: 0 }],
      tls: credentials.serving,
      authenticate: (bearer) => credentials.authenticate(bearer),
      log: silentLogger,
    });
    t.teardown(() => server.close());
    await writeFile(path.join(folder, "kubeconfig"), kubeconfig(credentials, `https://127.0.0.1:${server.ports[0]}`));

    // Not spawnSync: the server answers from this very process.
    async function kubectl(args: string, input = ""): Promise<{ code: number; out: string; error: string }> {
      const child = spawn(binary, [`--kubeconfig=${path.join(folder, "kubeconfig")}`, ...args.split(" ")], {
        env: { PATH: process.env["PATH"], HOME: folder },
        timeout: 60_000,
      });
      child.stdin.end(input);
      const [out, error] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
      return { code: child.exitCode ?? -1, out, error };
    }
    const ok = async (args: string, input?: string): Promise<string> => {
      const { code, out, error } = await kubectl(args, input);
      if (code !== 0) throw new Error(`kubectl ${args}: ${error}`);
      return out;
    };

    for (const file of await readdir(crds)) await ok("apply -f -", await readFile(new URL(file, crds), "utf8"));

    t.match(await ok("apply -f -", deployment), "deployment.apps/web created");
    t.match(await ok("apply -f -", deployment), "deployment.apps/web unchanged", "applied again, nothing changes");
    const changed = deployment.replace("name: A, value", "name: C, value").replace('side:1"', 'side:2"');
    t.match(await ok("apply -f -", changed), "deployment.apps/web configured");
    const stored = JSON.parse(await ok("get deployment web -o json")) as {
      spec: { template: { spec: { containers: { image: string; env?: { name: string }[] }[] } } };
    };
    t.same(
      stored.spec.template.spec.containers.map(({ image, env }) => [image, env?.map(({ name }) => name)]),
      [
        ["dev.local/web:1", ["C", "B"]],
        ["dev.local/side:2", undefined],
      ],
      "list items were merged by name",
    );
    t.match(
      await ok("get deployment web -o wide"),
      /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR\nweb +0\/1 +0 +0 +\d+s +web,side +dev.local\/web:1,dev.local\/side:2 +app=web\n$/,
    );

    const typo = await kubectl("apply -f -", deployment.replace("containers:", "contianers:"));
    t.not(typo.code, 0);
    t.match(typo.error, /unknown field "(spec\.template\.spec\.)?contianers"/, "a typo is named");
    const wrongType = await kubectl(
      "create -f -",
      deployment.replace("name: web,", "name: other,").replace('"1" }', "1 }"),
    );
    t.match(
      wrongType.error,
      /cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string/,
    );
    const mismatch = await kubectl(
      "create -f -",
      deployment
        .replace("labels: { app: web } }\n    spec", "labels: { app: x } }\n    spec")
        .replace("name: web,", "name: other,"),
    );
    t.match(
      mismatch.error,
      'The Deployment "other" is invalid: spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`',
    );

    t.match(await ok("create deployment made --image=dev.local/web:1"), "deployment.apps/made created");
    t.match(await ok("create secret generic keys --from-literal=a=b"), "secret/keys created");
    t.match(await ok("get secret keys"), /^NAME +TYPE +DATA +AGE\nkeys +Opaque +1 +\d+s\n$/);

    t.match(await ok("apply -f -", service), "service.serving.knative.dev/hello created");
    t.match(await ok("get ksvc hello"), /^NAME +URL +LATESTCREATED +LATESTREADY +READY +REASON *\nhello *\n$/);
    const unknown = await kubectl("apply -f -", service.replace("image: dev", "imagee: dev"));
    t.match(unknown.error, /unknown field "(spec\.template\.spec\.containers\[0\]\.)?imagee"/);

    t.match(await ok("explain pod.spec.containers"), /readinessProbe\s+<(Probe|Object)>/);
    t.match(await ok("explain ksvc.spec.template"), /spec\s+<Object>/);
  });
