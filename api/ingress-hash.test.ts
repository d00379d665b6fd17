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
  {
    name: "quotes, controls and characters beyond the first plane, as Go writes them",
    spec: {
      rules: [
        {
          hosts: ["h"],
          http: {
            paths: [
              {
                appendHeaders: { k: '"\\/\t\n\r\u0001\u001f\u007f😀\u2029' },
                splits: [{ serviceNamespace: "n", serviceName: "s", servicePort: 80, percent: 100 }],
              },
            ],
          },
        },
      ],
    },
    json:
      '{"rules":[{"hosts":["h"],"visibility":"ExternalIP","http":{"paths":[{' +
      '"splits":[{"serviceNamespace":"n","serviceName":"s","servicePort":80,"percent":100}],' +
      '"appendHeaders":{"k":"\\"\\\\/\\t\\n\\r\\u0001\\u001f\u007f😀\\u2029"}}]}}]}',
  },
  {
    name: "keys of maps are sorted by bytes, empty lists and maps are left out, empty values are not",
    spec: {
      httpOption: "Redirected",
      tls: [],
      rules: [
        {
          hosts: [],
          visibility: "ExternalIP",
          http: {
            paths: [
              {
                headers: {},
                rewriteHost: "",
                appendHeaders: { b: "", "Z-last": "1", a: "2", "😀": "3", "\uffee": "4" },
                splits: [{ serviceNamespace: "", serviceName: "", servicePort: "", percent: 0, appendHeaders: {} }],
              },
            ],
          },
        },
        { http: { paths: [] } },
      ],
    },
    json:
      '{"rules":[{"visibility":"ExternalIP","http":{"paths":[{' +
      '"splits":[{"serviceNamespace":"","serviceName":"","servicePort":"","percent":100}],' +
      '"appendHeaders":{"Z-last":"1","a":"2","b":"","\uffee":"4","😀":"3"}}]}},' +
      '{"visibility":"ExternalIP","http":{"paths":[]}}],"httpOption":"Redirected"}',
  },
  {
    name: "an empty spec",
    spec: {},
    json: "{}",
  },
];
for (const { name, spec, json } of specs)
  test(name, (t) => {
    t.equal(ingressSpecJson(spec), json);
    const want = createHash("sha256").update(`${json}nsname`).digest("hex");
    t.equal(ingressHash({ metadata: { namespace: "ns", name: "name" }, spec }), want);
    t.end();
  });
