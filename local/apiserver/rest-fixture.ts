/** A server core without sockets, a small custom kind, and certificates, for the tests of this folder. */
import { generateKeyPairSync } from "node:crypto";
import type { Test } from "tap";
import type { KubeObject, Resource } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import { silentLogger } from "../../process/logger.ts";
import { makeCa, makeServing } from "../certificates.ts";
import { inProcessClient } from "./in-process-client.ts";
import { createKindRegistry } from "./kinds/index.ts";
import { createRest, type Rest } from "./rest.ts";

export const gadgets: Resource = {
  group: "example.com",
  version: "v1",
  plural: "gadgets",
  kind: "Gadget",
  namespaced: true,
};

export const gadgetCrd = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "gadgets.example.com" },
  spec: {
    group: "example.com",
    names: { kind: "Gadget", plural: "gadgets", shortNames: ["gd"], categories: ["all"] },
    scope: "Namespaced",
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: {
          status: {},
          scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" },
        },
        additionalPrinterColumns: [{ name: "Size", type: "integer", jsonPath: ".spec.size" }],
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                required: ["size"],
                properties: {
                  size: { type: "integer", minimum: 1 },
                  color: { type: "string", default: "red" },
                  replicas: { type: "integer" },
                },
              },
              status: { type: "object", properties: { ready: { type: "boolean" }, replicas: { type: "integer" } } },
            },
          },
        },
      },
    ],
  },
} as KubeObject;

export interface Gadget extends KubeObject {
  spec: { size?: number; color?: string; replicas?: number };
  status?: { ready?: boolean; replicas?: number };
}

export const gadget = (name: string, more: Partial<Gadget["metadata"]> = {}): Gadget => ({
  apiVersion: "example.com/v1",
  kind: "Gadget",
  metadata: { name, namespace: "default", ...more },
  spec: { size: 1 },
});

export async function restWithGadgets(
  t: Test,
  options: { keepChanges?: number } = {},
): Promise<{ rest: Rest; client: KubeClient }> {
  const rest = await createRest({ file: ":memory:", kinds: createKindRegistry(), log: silentLogger, ...options });
  t.teardown(() => rest.close());
  const client = inProcessClient(rest, { username: "tester", groups: ["system:masters"] });
  await client.create(
    {
      group: "apiextensions.k8s.io",
      version: "v1",
      plural: "customresourcedefinitions",
      kind: "CustomResourceDefinition",
      namespaced: false,
    },
    gadgetCrd,
  );
  return { rest, client };
}

/** Waits for a state of the store, looking again after each write. */
export function until(rest: Rest, holds: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (holds()) resolve();
  };
  rest.store.onChange(look);
  look();
  return promise;
}

/** A CA, and a certificate of it for `127.0.0.1` and `kubernetes.default.svc`. */
export async function servingPair(): Promise<{ ca: string; cert: string; key: string }> {
  const newKey = (): string =>
    generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const [caKey, key] = [newKey(), newKey()];
  const validity = { nowMs: Date.now(), days: 1 };
  const ca = await makeCa(caKey, validity);
  return { ca, key, cert: await makeServing({ cert: ca, key: caKey }, key, validity) };
}
