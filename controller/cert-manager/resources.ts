/** Certificate → cert-manager's Certificate (spec: serving-api 4.15). */
import { label } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import type { Certificate } from "../../api/networking.ts";
import { controllerReference } from "../../kube/write.ts";
import type { CertificateType } from "../certificate/certificates.ts";
import type { CertManagerConfig } from "../config/certmanager.ts";
import { cmCertificates, type CmCertificate } from "./kinds.ts";

/** X.509 has no room for more (RFC 5280, ub-common-name less one). */
const longestCommonName = 63;
const shortPrefix = "k.";

/** A short name of the same domain, which nothing else is served under. */
export const shortName = (domain: string): string => `${shortPrefix}${domain}`;

export type Made = { is: "made"; certificate: CmCertificate } | { is: "refused"; reason: string; message: string };

export function makeCmCertificate(certificate: Certificate, config: CertManagerConfig): Made {
  const { name = "", namespace = "", labels, annotations, uid = "" } = certificate.metadata;
  const { secretName } = certificate.spec;
  const type = labels?.[label.certificateType] ?? "external-domain";
  const issuers: Readonly<Record<string, CertManagerConfig["issuerRef"]>> = {
    "external-domain": config.issuerRef,
    "cluster-local-domain": config.clusterLocalIssuerRef,
    "system-internal": config.systemInternalIssuerRef,
  } satisfies Record<CertificateType, unknown>;
  const issuerRef = Object.hasOwn(issuers, type) ? issuers[type] : undefined;
  if (issuerRef === undefined)
    return {
      is: "refused",
      reason: "certificate type invalid",
      message: `no issuer signs certificates of type ${type}`,
    };
  const names = commonNameOf(certificate);
  if (names.is === "refused") return names;
  return {
    is: "made",
    certificate: {
      apiVersion: apiVersionOf(cmCertificates),
      kind: cmCertificates.kind,
      metadata: {
        name,
        namespace,
        ...(labels === undefined ? {} : { labels }),
        ...(annotations === undefined ? {} : { annotations }),
        ownerReferences: [controllerReference(certificate)],
      },
      spec: {
        commonName: names.commonName,
        secretName,
        dnsNames: names.dnsNames,
        issuerRef,
        secretTemplate: { labels: { [label.certificateUID]: uid } },
      },
    },
  };
}

type Names =
  | { is: "named"; commonName: string; dnsNames: string[] }
  | { is: "refused"; reason: "CommonName Too Long"; message: string };

/** The first name, or where it is too long a short one of its domain, which then is one of the names. */
function commonNameOf({ spec: { dnsNames, domain = "" } }: Certificate): Names {
  const [first = ""] = dnsNames;
  if (first.length <= longestCommonName) return { is: "named", commonName: first, dnsNames: [...dnsNames] };
  const refused = (why: string): Names => ({
    is: "refused",
    reason: "CommonName Too Long",
    message: `error creating cert-manager certificate: CommonName (${first}) longer than 63 characters${why}`,
  });
  // A DomainMapping's: nobody says that other names of the domain are ours.
  if (domain === "" || domain === first) return refused("");
  const short = shortName(domain);
  if (short.length > longestCommonName) return refused(`, and so is ${short}`);
  return { is: "named", commonName: short, dnsNames: [short, ...dnsNames] };
}
