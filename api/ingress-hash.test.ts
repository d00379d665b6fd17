import { createHash } from "node:crypto";
import { test } from "tap";
import { ingressHash, ingressSpecJson } from "./ingress-hash.ts";
import type { KIngress } from "./networking.ts";

const specs: { name: string; spec: KIngress["spec"]; json: string }[] = [
  {
    name: "members stand in the order of Go's structs, empty ones are left out, defaults filled in",
    spec: {
      httpOption: "Enabled",
      rules: [
        {
          http: {
            paths: [
              {
                appendHeaders: { b: "2", a: "1" },
                headers: { "Knative-Serving-Tag": { exact: "" } },
                path: "",
                splits: [{ servicePort: 80, serviceName: "s", serviceNamespace: "n" }],
              },
            ],
          },
          hosts: ["h1", "h2"],
        },
      ],
      tls: [{ secretNamespace: "n", secretName: "t", hosts: ["h1"] }],
    },
    json:
      '{"tls":[{"hosts":["h1"],"secretName":"t","secretNamespace":"n"}],' +
      '"rules":[{"hosts":["h1","h2"],"visibility":"ExternalIP","http":{"paths":[{' +
      '"headers":{"Knative-Serving-Tag":{"exact":""}},' +
      '"splits":[{"serviceNamespace":"n","serviceName":"s","servicePort":80,"percent":100}],' +
      '"appendHeaders":{"a":"1","b":"2"}}]}}],"httpOption":"Enabled"}',
  },
  {
    name: "several splits keep a percentage of 0 out, ports may be names, HTML characters are escaped",
    spec: {
      httpOption: "",
      rules: [
        {
          visibility: "ClusterLocal",
          http: {
            paths: [
              {
                path: "/a&b<c>\u2028",
                rewriteHost: "r",
                splits: [
                  { serviceNamespace: "n", serviceName: "s", servicePort: "http", percent: 0 },
                  {
                    serviceNamespace: "n",
                    serviceName: "t",
                    servicePort: 81,
                    percent: 100,
                    appendHeaders: { "x-é": "ü" },
                  },
                ],
              },
            ],
          },
        },
      ],
    },
    json:
      '{"rules":[{"visibility":"ClusterLocal","http":{"paths":[{"path":"/a\\u0026b\\u003cc\\u003e\\u2028","rewriteHost":"r",' +
      '"splits":[{"serviceNamespace":"n","serviceName":"s","servicePort":"http"},' +
      '{"serviceNamespace":"n","serviceName":"t","servicePort":81,"percent":100,"appendHeaders":{"x-é":"ü"}}]}]}}]}',
  },
];
for (const { name, spec, json } of specs)
  test(name, (t) => {
    t.equal(ingressSpecJson(spec), json);
    const want = createHash("sha256").update(`${json}nsname`).digest("hex");
    t.equal(ingressHash({ metadata: { namespace: "ns", name: "name" }, spec }), want);
    t.end();
  });
