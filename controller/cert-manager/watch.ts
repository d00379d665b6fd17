/** cert-manager's objects, watched while its CustomResourceDefinitions are there: it may be installed at any time. */
import { customResourceDefinitions } from "../../api/core.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer, type Lister } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import {
  cmCertificates,
  cmCertificatesDefinition,
  cmChallenges,
  cmClusterIssuers,
  cmIssuers,
  type CmCertificate,
  type CmChallenge,
  type CmIssuer,
} from "./kinds.ts";

export interface CertManager {
  certificates: Lister<CmCertificate>;
  challenges: Lister<CmChallenge>;
  issuers: Lister<CmIssuer>;
  clusterIssuers: Lister<CmIssuer>;
}

type Definition = KubeObject & { status?: { conditions?: { type: string; status: string }[] } };

/**
 * - `unknown`: nobody has looked yet
 * - `starting`: installed; what it has is not known yet
 */
export type Presence = { is: "unknown" } | { is: "absent" } | { is: "starting" } | ({ is: "present" } & CertManager);

export interface CertManagerWatch {
  readonly presence: Presence;
  /** Ends the watches. */
  stop(): void;
}

/** `onChange` hears of every object, and without one when cert-manager comes or goes. */
export function watchCertManager(options: {
  client: KubeClient;
  log: Logger;
  onChange: (kind: keyof CertManager | undefined, object: KubeObject | undefined) => void;
}): CertManagerWatch {
  const { client, log, onChange } = options;
  const over = new AbortController();
  let presence: Presence = { is: "unknown" };
  let running: AbortController | undefined;

  const run = <T extends KubeObject>(informer: Informer<T>, signal: AbortSignal): Promise<void> => {
    informer.run(signal).catch((error: unknown) => log.error({ err: error }, "a watch of cert-manager ended"));
    return informer.synced(signal);
  };
  const become = (next: Presence): void => {
    presence = next;
    onChange(undefined, undefined);
  };

  function start(): void {
    if (running !== undefined) return;
    const own = new AbortController();
    running = own;
    const make = <T extends KubeObject>(resource: Resource): Informer<T> =>
      createInformer<T>({ client, resource, log });
    const certificates = make<CmCertificate>(cmCertificates);
    const challenges = make<CmChallenge>(cmChallenges);
    const issuers = make<CmIssuer>(cmIssuers);
    const clusterIssuers = make<CmIssuer>(cmClusterIssuers);
    presence = { is: "starting" };
    Promise.all([
      run(certificates, own.signal),
      run(challenges, own.signal),
      run(issuers, own.signal),
      run(clusterIssuers, own.signal),
    ]).then(
      () => {
        if (own.signal.aborted) return;
        log.info("cert-manager is there: it is asked for certificates");
        become({ is: "present", certificates, challenges, issuers, clusterIssuers });
        certificates.onChange(({ object }) => onChange("certificates", object));
        challenges.onChange(({ object }) => onChange("challenges", object));
        issuers.onChange(({ object }) => onChange("issuers", object));
        clusterIssuers.onChange(({ object }) => onChange("clusterIssuers", object));
      },
      () => undefined,
    );
  }

  function end(): void {
    running?.abort();
    running = undefined;
    if (presence.is !== "absent") become({ is: "absent" });
  }

  const definitions = createInformer<Definition>({
    client,
    resource: customResourceDefinitions,
    fieldSelector: `metadata.name=${cmCertificatesDefinition}`,
    log,
  });
  const look = (): void => {
    if (over.signal.aborted) return;
    const found = definitions.get(cmCertificatesDefinition);
    const isServed = found?.status?.conditions?.some(({ type, status }) => type === "Established" && status === "True");
    if (isServed === true) start();
    else end();
  };
  definitions.onChange(look);
  run(definitions, over.signal).then(look, () => undefined);

  return {
    get presence() {
      return presence;
    },
    stop() {
      over.abort();
      running?.abort();
    },
  };
}
