/** ConfigMap `config-network` (spec: serving-api 4.9). */
import { parse } from "yaml";
import { selectorProblems } from "../../api/label-selector.ts";
import type { LabelSelector } from "../../api/meta.ts";
import { compileTemplate, type NameTemplate } from "./template.ts";
import { type Data, ConfigValues } from "./values.ts";

export interface NetworkConfig {
  ingressClass: string;
  certificateClass: string;
  /** Over {Name, Namespace, Domain, Annotations, Labels}. */
  domainTemplate: NameTemplate;
  /** Over {Name, Tag}. */
  tagTemplate: NameTemplate;
  /** The one that cluster-local hosts use, whatever the setting. */
  defaultDomainTemplate: NameTemplate;
  externalDomainTls: boolean;
  clusterLocalDomainTls: boolean;
  systemInternalTls: boolean;
  /** Namespaces that get wildcard certificates; absent: none. */
  namespaceWildcardCertSelector: LabelSelector | undefined;
  httpProtocol: "Enabled" | "Redirected" | "Disabled";
  rolloutDurationSeconds: number;
  autocreateClusterDomainClaims: boolean;
  defaultExternalScheme: string;
  meshPodAddressability: boolean;
  meshCompatibilityMode: "auto" | "enabled" | "disabled";
}

const defaultDomain = "{{.Name}}.{{.Namespace}}.{{.Domain}}";
const defaultTag = "{{.Tag}}-{{.Name}}";

/** Throws ConfigError. */
export function parseNetworkConfig(data: Data | undefined): Readonly<NetworkConfig> {
  const values = new ConfigValues(data);
  const template = (keys: readonly string[], fallback: string, check: (render: NameTemplate) => void): NameTemplate => {
    const source = values.raw(keys) ?? fallback;
    try {
      const render = compileTemplate(source);
      check(render);
      return render;
    } catch (error) {
      values.problem(`error parsing ${keys[0]}: ${(error as Error).message}`);
      return compileTemplate(fallback);
    }
  };
  const oneOf = <T extends string>(keys: readonly string[], allowed: readonly T[], fallback: T): T => {
    const text = values.text(keys, fallback);
    const found = allowed.find((value) => value.toLowerCase() === text.toLowerCase());
    if (found === undefined) values.problem(`${keys[0]} ${text} in config-network ConfigMap is not supported`);
    return found ?? fallback;
  };
  const selector = (key: string): LabelSelector | undefined => {
    const text = values.raw(key)?.trim() ?? "";
    if (text === "") return undefined;
    const problem = (what: string): void => values.problem(`failed to parse ${JSON.stringify(key)}: ${what}`);
    try {
      const given = parse(text) as unknown;
      selectorProblems(given).forEach(problem);
      return given as LabelSelector;
    } catch (error) {
      problem((error as Error).message);
      return undefined;
    }
  };
  const enabled = (keys: readonly string[]): boolean => values.text(keys, "Disabled").toLowerCase() === "enabled";

  const config: NetworkConfig = {
    ingressClass: values.text(["ingress-class", "ingress.class"], "istio.ingress.networking.knative.dev"),
    certificateClass: values.text(
      ["certificate-class", "certificate.class"],
      "cert-manager.certificate.networking.knative.dev",
    ),
    domainTemplate: template(["domain-template", "domainTemplate"], defaultDomain, (render) => {
      const sample = { Annotations: {}, Labels: {}, Name: "foo", Namespace: "bar", Domain: "baz.com" };
      checkHost(render(sample), "domain");
    }),
    tagTemplate: template(["tag-template", "tagTemplate"], defaultTag, (render) =>
      checkHost(render({ Name: "foo", Tag: "v2" }), "tag"),
    ),
    defaultDomainTemplate: compileTemplate(defaultDomain),
    externalDomainTls: enabled(["external-domain-tls", "auto-tls", "autoTLS"]),
    clusterLocalDomainTls: enabled(["cluster-local-domain-tls"]),
    systemInternalTls:
      values.raw("system-internal-tls") === undefined
        ? values.boolean("internal-encryption", false)
        : enabled(["system-internal-tls"]),
    namespaceWildcardCertSelector: selector("namespace-wildcard-cert-selector"),
    httpProtocol: oneOf(["http-protocol", "httpProtocol"], ["Enabled", "Redirected", "Disabled"], "Enabled"),
    rolloutDurationSeconds: values.integer(["rollout-duration", "rolloutDuration"], 0),
    autocreateClusterDomainClaims: values.boolean(
      ["autocreate-cluster-domain-claims", "autocreateClusterDomainClaims"],
      false,
    ),
    defaultExternalScheme: values.text(["default-external-scheme", "defaultExternalScheme"], "http"),
    meshPodAddressability: values.boolean("enable-mesh-pod-addressability", false),
    meshCompatibilityMode: oneOf(["mesh-compatibility-mode"], ["auto", "enabled", "disabled"], "auto"),
  };
  if (config.rolloutDurationSeconds < 0)
    values.problem(`rollout-duration must be a positive integer, but was ${config.rolloutDurationSeconds}`);
  return values.finish(config);
}

function checkHost(host: string, what: string): void {
  if (host === "") throw new Error("empty hostname");
  if (host.includes("/")) throw new Error(`${what} template has url path: ${host.slice(host.indexOf("/"))}`);
}
