/** The certificate that the sidecars of a namespace serve with (spec: serving-api 4.11). */
import { conditionOf } from "../../api/conditions.ts";
import { secrets, type Secret } from "../../api/core.ts";
import { internalTls } from "../../api/keys.ts";
import type { Revision } from "../../api/serving.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import { certificateClass, ensureCertificate } from "../certificate/certificates.ts";
import { makeInternalCertificate } from "../certificate/internal-certificates.ts";
import { NotOwnedError, StaleCacheError, type Deps } from "../reconciler.ts";

const name = internalTls.sidecarSecret;
const firstListMs = 10_000;

export type SidecarCertificate =
  | { is: "unwanted" }
  | { is: "ready" }
  /** A pod that mounts what is not there would hang. */
  | { is: "waiting"; message: string };

export interface SidecarCertificates {
  /** Has it made. Throws {@link NotOwnedError}. */
  ensure(revision: Revision): Promise<SidecarCertificate>;
  /** Hears of namespaces whose certificate has changed. Returns the way to stop. */
  onChange(listener: (namespace: string) => void): () => void;
}

/** The Secrets are watched from the first time that one is wanted: most clusters want none. */
export function createSidecarCertificates(deps: Deps): SidecarCertificates {
  const { caches, client, config, log } = deps;
  const listeners = new Set<(namespace: string) => void>();
  let running: { informer: Informer<Secret>; stop: AbortController } | undefined;

  function watched(): Informer<Secret> {
    if (running !== undefined) return running.informer;
    const stop = new AbortController();
    const informer = createInformer<Secret>({
      client,
      resource: secrets,
      fieldSelector: `metadata.name=${name}`,
      log,
    });
    running = { informer, stop };
    informer.onChange(({ object }) => listeners.forEach((listener) => listener(object.metadata.namespace ?? "")));
    informer.run(stop.signal).catch((error: unknown) => log.error({ err: error }, "the watch of certificates ended"));
    return informer;
  }

  return {
    async ensure(revision) {
      const { network } = config.current;
      const { namespace = "" } = revision.metadata;
      if (!network.systemInternalTls) return { is: "unwanted" };
      const owner = caches.namespaces.get(namespace);
      if (owner === undefined) throw new StaleCacheError(`namespace ${namespace} is not known yet`);
      const by = internalTls.sidecarName(namespace);
      const wanted = makeInternalCertificate(owner, { name, by }, certificateClass(revision, network));
      const certificate = await ensureCertificate(deps, owner, wanted);
      if (certificate === undefined)
        throw new NotOwnedError(`There is an existing certificate ${name} that we don't own.`);
      const present = watched();
      await present.synced(AbortSignal.timeout(firstListMs));
      const data = present.get(`${namespace}/${name}`)?.data;
      if ((data?.["tls.crt"] ?? "") !== "" && (data?.["tls.key"] ?? "") !== "") return { is: "ready" };
      const ready = conditionOf(certificate, "Ready");
      return { is: "waiting", message: `Certificate ${name} is not ready: ${ready?.message ?? ready?.reason ?? ""}` };
    },
    onChange(listener) {
      listeners.add(listener);
      const ends = [
        caches.certificates.onChange(({ object: { metadata } }) => {
          if (metadata.name === name) listener(metadata.namespace ?? "");
        }),
        () => listeners.delete(listener),
      ];
      return () => {
        ends.forEach((end) => end());
        if (listeners.size > 0) return;
        running?.stop.abort();
        running = undefined;
      };
    },
  };
}
