import { test } from "tap";
import type { KService } from "../serving.ts";
import { defaulted, service, type Fields, type PlatformEdit, type Template } from "../validation/samples.ts";

const image = "dev.local/hello:1";
const specOf = (template: Template, platform: PlatformEdit = {}): Fields =>
  (defaulted(service(template), { platform }) as KService).spec.template.spec as unknown as Fields;
const containersOf = (template: Template, platform: PlatformEdit = {}): Fields[] =>
  specOf(template, platform)["containers"] as Fields[];

test("the spec of a Revision", (t) => {
  const stock = { containerConcurrency: 0, enableServiceLinks: false, timeoutSeconds: 300 };
  const cases: { name: string; spec: Fields; want: Fields; platform?: PlatformEdit["defaults"] }[] = [
    { name: "as installed", spec: {}, want: stock },
    {
      name: "with values of its own",
      spec: { containerConcurrency: 5, timeoutSeconds: 10, enableServiceLinks: true },
      want: { containerConcurrency: 5, enableServiceLinks: true, timeoutSeconds: 10 },
    },
    { name: "with a timeout of zero, which is none", spec: { timeoutSeconds: 0 }, want: stock },
    {
      name: "with the cluster's values",
      spec: {},
      want: { ...stock, containerConcurrency: 7, timeoutSeconds: 60 },
      platform: { containerConcurrency: 7, timeoutSeconds: 60, responseStartTimeoutSeconds: 60 },
    },
    {
      name: "with shorter limits of the cluster",
      spec: {},
      want: { ...stock, idleTimeoutSeconds: 20, responseStartTimeoutSeconds: 30 },
      platform: { idleTimeoutSeconds: 20, responseStartTimeoutSeconds: 30 },
    },
    {
      name: "shorter than those limits",
      spec: { timeoutSeconds: 20 },
      want: { ...stock, timeoutSeconds: 20 },
      platform: { idleTimeoutSeconds: 20, responseStartTimeoutSeconds: 30 },
    },
    {
      name: "that wants none of those limits",
      spec: { idleTimeoutSeconds: 0, responseStartTimeoutSeconds: 0 },
      want: { ...stock, idleTimeoutSeconds: 0, responseStartTimeoutSeconds: 0 },
      platform: { idleTimeoutSeconds: 20, responseStartTimeoutSeconds: 30 },
    },
    {
      name: "longer than the cluster's timeout",
      spec: { timeoutSeconds: 400 },
      want: { ...stock, timeoutSeconds: 400, responseStartTimeoutSeconds: 300 },
    },
    {
      name: "where service links are left open",
      spec: {},
      want: { containerConcurrency: 0, timeoutSeconds: 300 },
      platform: { enableServiceLinks: undefined },
    },
  ];
  for (const { name, spec, want, platform } of cases) {
    const { containers: _containers, ...rest } = specOf({ spec }, platform === undefined ? {} : { defaults: platform });
    t.same(rest, want, name);
  }
  t.end();
});

const ready = { successThreshold: 1, tcpSocket: { port: 0 } };
const stockContainer = { name: "user-container", image, readinessProbe: ready, resources: {} };

test("a container", (t) => {
  const cases: { name: string; container: Fields; want: Fields; spec?: Fields; platform?: PlatformEdit }[] = [
    { name: "as installed", container: {}, want: stockContainer },
    { name: "with a name", container: { name: "mine" }, want: { ...stockContainer, name: "mine" } },
    {
      name: "with its own resources, written canonically",
      container: { resources: { limits: { cpu: "1000m", memory: "1024Mi" }, requests: {} } },
      want: { ...stockContainer, resources: { limits: { cpu: "1", memory: "1Gi" } } },
    },
    {
      name: "with the cluster's resources where it has none",
      container: { resources: { limits: { cpu: "2" } } },
      want: { ...stockContainer, resources: { requests: { cpu: "1" }, limits: { cpu: "2", memory: "1Gi" } } },
      platform: { defaults: { requests: { cpu: "1" }, limits: { cpu: "3", memory: "1Gi" } } },
    },
    {
      name: "with a probe without a handler",
      container: { readinessProbe: { initialDelaySeconds: 3 } },
      want: { ...stockContainer, readinessProbe: { ...ready, initialDelaySeconds: 3 } },
    },
    {
      name: "with a probe of its own",
      container: { readinessProbe: { httpGet: { path: "/" }, successThreshold: 0 } },
      want: { ...stockContainer, readinessProbe: { httpGet: { path: "/", port: 0 }, successThreshold: 1 } },
    },
    {
      name: "with a probe whose times are zero, which is not set",
      container: { readinessProbe: { exec: {}, initialDelaySeconds: 0, timeoutSeconds: 0 } },
      want: { ...stockContainer, readinessProbe: { exec: {}, successThreshold: 1 } },
    },
    {
      name: "with a probe that has a period",
      container: { readinessProbe: { exec: {}, periodSeconds: 5 } },
      want: {
        ...stockContainer,
        readinessProbe: { exec: {}, periodSeconds: 5, successThreshold: 1, failureThreshold: 3, timeoutSeconds: 1 },
      },
    },
    {
      name: "with a probe whose times are given",
      container: {
        readinessProbe: { exec: {}, periodSeconds: 5, successThreshold: 2, failureThreshold: 4, timeoutSeconds: 3 },
      },
      want: {
        ...stockContainer,
        readinessProbe: { exec: {}, periodSeconds: 5, successThreshold: 2, failureThreshold: 4, timeoutSeconds: 3 },
      },
    },
    {
      name: "with gRPC probes",
      container: {
        readinessProbe: { grpc: { port: 1 } },
        livenessProbe: { grpc: { port: 1 } },
        startupProbe: { grpc: { port: 1, service: "s" } },
      },
      want: {
        ...stockContainer,
        readinessProbe: { grpc: { port: 1, service: "" }, successThreshold: 1 },
        livenessProbe: { grpc: { port: 1, service: "" } },
        startupProbe: { grpc: { port: 1, service: "s" } },
      },
    },
    {
      name: "with a liveness probe, which is left alone",
      container: { livenessProbe: { exec: {}, periodSeconds: 5 } },
      want: { ...stockContainer, livenessProbe: { exec: {}, periodSeconds: 5 } },
    },
    {
      name: "with mounts, read-only where nothing else is possible",
      container: {
        volumeMounts: [
          { name: "s", mountPath: "/s" },
          { name: "e", mountPath: "/e" },
          { name: "c", mountPath: "/c" },
          { name: "gone", mountPath: "/g" },
        ],
      },
      spec: {
        volumes: [
          { name: "s", secret: {} },
          { name: "e", emptyDir: {} },
          { name: "c", persistentVolumeClaim: { claimName: "c" } },
        ],
      },
      want: {
        ...stockContainer,
        volumeMounts: [
          { name: "s", mountPath: "/s", readOnly: true },
          { name: "e", mountPath: "/e" },
          { name: "c", mountPath: "/c" },
          { name: "gone", mountPath: "/g", readOnly: true },
        ],
      },
    },
    {
      name: "with fields that say nothing",
      container: {
        env: [{ name: "A", value: "" }],
        command: [],
        args: [""],
        tty: false,
        workingDir: "",
        envFrom: null,
      },
      want: { ...stockContainer, env: [{ name: "A" }], args: [""] },
    },
  ];
  for (const { name, container, want, spec = {}, platform = {} } of cases)
    t.same(containersOf({ container, spec }, platform), [want], name);
  t.end();
});

test("names", (t) => {
  const cases: {
    name: string;
    containers: Fields[];
    inits?: Fields[];
    want: string[];
    defaults?: PlatformEdit["defaults"];
  }[] = [
    { name: "of one", containers: [{}], want: ["user-container"] },
    { name: "of several", containers: [{}, { name: "b" }, {}], want: ["user-container-0", "b", "user-container-1"] },
    {
      name: "around those that are taken",
      containers: [{}, { name: "user-container-0" }, {}],
      want: ["user-container-1", "user-container-0", "user-container-2"],
    },
    {
      name: "of one whose name an init container has",
      containers: [{}],
      inits: [{ name: "user-container" }],
      want: ["user-container-0", "user-container"],
    },
    {
      name: "of init containers",
      containers: [{}],
      inits: [{}, {}],
      want: ["user-container", "init-container-0", "init-container-1"],
    },
    {
      name: "that are too long for a number",
      containers: [{}, {}],
      want: [
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa24612f0ce2c9d2cf2b022ef1e027a54f-0",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa24612f0ce2c9d2cf2b022ef1e027a54f-1",
      ],
      defaults: { containerName: () => "a".repeat(62) },
    },
    {
      name: "from the parent",
      containers: [{}],
      want: ["hello"],
      defaults: { containerName: (parent) => (parent as { name: string }).name },
    },
  ];
  for (const { name, containers, inits = [], want, defaults = {} } of cases) {
    const spec = specOf(
      { containers: containers.map((one) => ({ image, ...one })), spec: { initContainers: inits } },
      { defaults },
    );
    const all = [...(spec["containers"] as Fields[]), ...((spec["initContainers"] ?? []) as Fields[])];
    t.same(
      all.map((one) => one["name"]),
      want,
      name,
    );
  }
  t.end();
});

test("several containers", (t) => {
  const ports = [{ containerPort: 8080 }];
  const [app, side] = containersOf({
    containers: [
      { image, ports },
      { image, name: "side" },
    ],
  });
  t.same(app, { ...stockContainer, name: "user-container-0", ports });
  t.same(side, { image, name: "side", resources: {} }, "a sidecar gets no probe");
  const [, probed] = containersOf({
    containers: [
      { image, ports },
      { image, name: "side", readinessProbe: { exec: {} } },
    ],
  });
  t.same(probed?.["readinessProbe"], { exec: {}, successThreshold: 1 }, "its own is completed");
  const spec = specOf(
    { spec: { initContainers: [{ image, volumeMounts: [{ name: "s", mountPath: "/s" }] }] } },
    { defaults: { limits: { cpu: "1" } } },
  );
  t.same(
    spec["initContainers"],
    [{ image, name: "init-container", resources: {}, volumeMounts: [{ name: "s", mountPath: "/s" }] }],
    "an init container gets no more than a name",
  );
  t.end();
});

test("secure defaults", (t) => {
  const all = {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    runAsNonRoot: true,
    seccompProfile: { type: "RuntimeDefault" },
  };
  const { runAsNonRoot: _root, ...bounded } = all;
  const { seccompProfile: _profile, ...unprofiled } = all;
  const cases: {
    name: string;
    template: Template;
    level: "Disabled" | "AllowRootBounded" | "Enabled";
    want: Fields | undefined;
  }[] = [
    { name: "off", template: {}, level: "Disabled", want: undefined },
    { name: "for a bounded root", template: {}, level: "AllowRootBounded", want: bounded },
    { name: "in full", template: {}, level: "Enabled", want: all },
    {
      name: "under what the container says",
      template: {
        container: {
          securityContext: {
            allowPrivilegeEscalation: true,
            runAsNonRoot: false,
            seccompProfile: { type: "Unconfined" },
            capabilities: { drop: ["NET_RAW"] },
          },
        },
      },
      level: "Enabled",
      want: {
        allowPrivilegeEscalation: true,
        runAsNonRoot: false,
        seccompProfile: { type: "Unconfined" },
        capabilities: { drop: ["NET_RAW"] },
      },
    },
    {
      name: "under what the pod says",
      template: { spec: { securityContext: { runAsNonRoot: false, seccompProfile: { type: "Unconfined" } } } },
      level: "Enabled",
      want: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    },
    {
      name: "with a profile that has no type",
      template: { container: { securityContext: { seccompProfile: { localhostProfile: "p" } } } },
      level: "AllowRootBounded",
      want: { ...bounded, seccompProfile: { localhostProfile: "p", type: "RuntimeDefault" } },
    },
    {
      name: "with a low port",
      template: { container: { ports: [{ containerPort: 80 }] } },
      level: "Enabled",
      want: { ...all, capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] } },
    },
    {
      name: "with a high port",
      template: { container: { ports: [{ containerPort: 1024 }] } },
      level: "Enabled",
      want: all,
    },
    {
      name: "with capabilities of its own, if empty",
      template: { container: { securityContext: { capabilities: {} }, ports: [{ containerPort: 80 }] } },
      level: "Enabled",
      want: { ...all, capabilities: {} },
    },
    {
      name: "with a profile from the pod",
      template: { spec: { securityContext: { seccompProfile: { type: "RuntimeDefault" } } } },
      level: "Enabled",
      want: unprofiled,
    },
  ];
  for (const { name, template, level, want } of cases) {
    const [container] = containersOf(template, { features: { securePodDefaults: level } });
    t.same(container?.["securityContext"], want, name);
  }
  const spec = specOf({ spec: { initContainers: [{ image }] } }, { features: { securePodDefaults: "Enabled" } });
  t.same((spec["initContainers"] as Fields[])[0]?.["securityContext"], all, "for init containers too");
  t.end();
});
