/** Host names of a Route and of its tags (spec: serving-api 4.9). */
import { label } from "../../api/keys.ts";
import type { Service } from "../../api/core.ts";
import type { Route } from "../../api/serving.ts";
import type { DomainConfig } from "../config/domain.ts";
import type { NetworkConfig } from "../config/network.ts";

export interface Host {
  tag: string;
  /** The first label, and the name of the placeholder Service. */
  name: string;
  /** `name.namespace.svc.<cluster domain>`. */
  local: string;
  /** undefined for one that is only reached inside the cluster. */
  public: string | undefined;
}

/** A name template gave what is no host name. */
export class DomainNameError extends Error {
  override readonly name = "DomainNameError";
}

export interface HostContext {
  network: NetworkConfig;
  domain: DomainConfig;
  clusterDomain: string;
  /** Placeholder Services, whose label may make a host private. */
  service: (name: string) => Service | undefined;
}

/** Throws {@link DomainNameError}. */
export function hostOf(route: Route, tag: string, context: HostContext): Host {
  const { name: routeName = "", namespace = "", labels = {}, annotations = {} } = route.metadata;
  const { network, clusterDomain } = context;
  const name = tag === "" ? routeName : network.tagTemplate({ Name: routeName, Tag: tag });
  const localDomain = `svc.${clusterDomain}`;
  const render = (template: NetworkConfig["domainTemplate"], domain: string): string =>
    checked(template({ Name: name, Namespace: namespace, Domain: domain, Annotations: annotations, Labels: labels }));
  const domain = context.domain.lookup(labels);
  const isLocal = domain === localDomain || (context.service(name)?.metadata.labels?.[label.visibility] ?? "") !== "";
  return {
    tag,
    name,
    local: render(network.defaultDomainTemplate, localDomain),
    public: isLocal ? undefined : render(network.domainTemplate, domain),
  };
}

function checked(host: string): string {
  const labels = host.split(".");
  const valid =
    host.length <= 253 &&
    labels.length > 1 &&
    labels.every((part) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/u.test(part));
  if (valid) return host;
  throw new DomainNameError(`domain name error: invalid domain name ${JSON.stringify(host)}`);
}

/** Where the outside, or else the inside, reaches the host. */
export const domainOf = (host: Host): string => host.public ?? host.local;

/** `secure` names the hosts that have a certificate. */
export function urlOf(host: Host, externalScheme: string, secure: ReadonlySet<string>): string {
  const name = domainOf(host);
  const plain = host.public === undefined ? "http" : externalScheme;
  return `${secure.has(name) ? "https" : plain}://${name}`;
}

/** The names by which the cluster's pods may call a host: with and without the domains they search. */
export function localNames(host: Host, namespace: string, clusterDomain: string): string[] {
  const short = [`${host.name}.${namespace}`, `${host.name}.${namespace}.svc`];
  const usable = (name: string): boolean => {
    const last = name.slice(name.lastIndexOf(".") + 1);
    return !/^\d+$/u.test(last) && last.length <= 63;
  };
  return [...short.filter(usable), `${host.name}.${namespace}.svc.${clusterDomain}`].sort();
}
