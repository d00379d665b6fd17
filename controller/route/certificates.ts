/** The certificates of a Route's hosts: what is asked for, and what the Route says of it (spec: serving-api 4.7, 4.9). */
import type { Conditions } from "../../api/conditions.ts";
import { label } from "../../api/keys.ts";
import type { Certificate } from "../../api/networking.ts";
import type { Route } from "../../api/serving.ts";
import { isControlledBy } from "../../kube/write.ts";
import { index } from "../caches.ts";
import { adler32 } from "../certificate/adler32.ts";
import {
  certificateState,
  ensureCertificate,
  ingressTls,
  isRenewing,
  makeCertificate,
  removeCertificates,
  wantsExternalTls,
  type CertificateState,
  type IngressTls,
} from "../certificate/certificates.ts";
import { NotOwnedError, type Deps } from "../reconciler.ts";
import { localNames, type Host } from "./hosts.ts";

type Challenge = NonNullable<NonNullable<Certificate["status"]>["http01Challenges"]>[number];

export interface RouteTls {
  tls: IngressTls[];
  /** Hosts whose URL is https. */
  secure: ReadonlySet<string>;
  challenges: Challenge[];
}

/** What is wrong with the worst of the certificates decides. */
const severity: readonly CertificateState["is"][] = ["ready", "not-ready", "failed"];

/** Sets CertificateProvisioned. Throws {@link NotOwnedError}. */
export async function reconcileCertificates(
  deps: Deps,
  route: Route,
  hosts: readonly Host[],
  conditions: Conditions,
): Promise<RouteTls> {
  const { caches, config, clusterDomain } = deps;
  const { network, domain } = config.current;
  const { name: routeName = "", namespace = "", labels = {} } = route.metadata;
  const external = wantsExternalTls(route, network);
  const routeDomain = domain.lookup(labels);
  const found: { certificate: Certificate; dnsNames: string[]; isExternal: boolean }[] = [];

  const ensure = async (name: string, dnsNames: string[], type: "external-domain" | "cluster-local-domain") => {
    const wanted = makeCertificate(
      route,
      {
        name,
        type,
        dnsNames,
        domain: type === "external-domain" ? routeDomain : `svc.${clusterDomain}`,
        labels: { [label.route]: routeName },
      },
      network,
    );
    const certificate = await ensureCertificate(deps, route, wanted);
    if (certificate !== undefined) return certificate;
    const message = `There is an existing certificate ${name} that we don't own.`;
    conditions.markFalse("CertificateProvisioned", "CertificateNotOwned", message);
    throw new NotOwnedError(message);
  };

  for (const host of hosts) {
    if (external && host.public !== undefined) {
      const wildcard = wildcardFor(host.public, caches.certificates.list(namespace), routeDomain);
      const certificate =
        wildcard ?? (await ensure(certificateName(route, host.tag, false), [host.public], "external-domain"));
      found.push({ certificate, dnsNames: [host.public], isExternal: true });
    }
    if (network.clusterLocalDomainTls) {
      const dnsNames = localNames(host, namespace, clusterDomain);
      const certificate = await ensure(certificateName(route, host.tag, true), dnsNames, "cluster-local-domain");
      found.push({ certificate, dnsNames, isExternal: false });
    }
  }

  const inUse = new Set(found.map(({ certificate }) => certificate.metadata.name));
  const orphans = caches.certificates
    .byIndex(index.byRoute, `${namespace}/${routeName}`)
    .filter((certificate) => !inUse.has(certificate.metadata.name) && isControlledBy(certificate, route));
  await removeCertificates(deps, route, orphans);

  if (found.length === 0)
    conditions.markTrue(
      "CertificateProvisioned",
      "TLSNotEnabled",
      external ? "TLS is not enabled for cluster-local" : "external-domain-tls is not enabled",
    );
  else show(found, network.httpProtocol === "Enabled", conditions);

  const ready = found.filter(({ certificate }) => certificateState(certificate).is === "ready");
  // Without HTTP there is nothing else to offer than what will be there once the certificate is.
  const offered = network.httpProtocol === "Enabled" ? ready : found;
  return {
    tls: ready.map(({ certificate, dnsNames }) => ingressTls(certificate, dnsNames)),
    secure: new Set(offered.flatMap(({ dnsNames }) => dnsNames)),
    challenges: found
      .filter((entry) => entry.isExternal && (!ready.includes(entry) || isRenewing(entry.certificate)))
      .flatMap(({ certificate }) => certificate.status?.http01Challenges ?? [])
      .toSorted((a, b) => (a.url < b.url ? -1 : 1)),
  };
}

function show(
  found: readonly { certificate: Certificate; isExternal: boolean }[],
  httpIsEnabled: boolean,
  conditions: Conditions,
): void {
  const states = found.map(({ certificate, isExternal }) => ({
    name: certificate.metadata.name ?? "",
    isExternal,
    state: certificateState(certificate),
  }));
  const rank = ({ state }: (typeof states)[number]): number => severity.indexOf(state.is);
  const { name, state, isExternal } = states.toSorted((a, b) => rank(b) - rank(a))[0]!;
  const type = "CertificateProvisioned";
  if (state.is === "ready") conditions.markTrue(type);
  else if (httpIsEnabled && isExternal)
    conditions.markTrue(type, "HTTPDowngrade", `Certificate ${name} is not ready downgrade HTTP.`);
  else if (state.is === "failed")
    conditions.markFalse(
      type,
      "CertificateProvisionFailed",
      `Certificate ${name} fails to be provisioned: ${state.reason}`,
    );
  else conditions.markUnknown(type, "CertificateNotReady", `Certificate ${name} is not ready: ${state.reason}`);
}

/** A wildcard Certificate of the namespace that covers the host. */
function wildcardFor(host: string, all: readonly Certificate[], domain: string): Certificate | undefined {
  const pattern = `*${host.slice(host.indexOf("."))}`;
  return all.find(
    ({ metadata, spec }) => metadata.labels?.[label.wildcardDomain] === domain && spec.dnsNames.includes(pattern),
  );
}

export function certificateName({ metadata: { uid = "" } }: Route, tag: string, isLocal: boolean): string {
  return `route-${uid}${tag === "" ? "" : `-${adler32(tag)}`}${isLocal ? "-local" : ""}`;
}
