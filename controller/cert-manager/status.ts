/** What cert-manager says, in the words of our Certificate (spec: serving-api 4.15). */
import type { Conditions } from "../../api/conditions.ts";
import type { Service } from "../../api/core.ts";
import type { Certificate } from "../../api/networking.ts";
import { adler32 } from "../certificate/adler32.ts";
import { renewing } from "../certificate/certificates.ts";
import type { CmCertificate, CmChallenge, CmIssuer } from "./kinds.ts";

/** cert-manager calls these False; they are on their way. */
const pending = ["InProgress", "Pending", "TemporaryCertificate"];

export type Readiness = { is: "ready" } | { is: "renewing" } | { is: "not-ready" };

/** Sets Ready and Renewing. */
export function showReadiness(conditions: Conditions, certificate: CmCertificate, nowMs: number): Readiness {
  const { conditions: given = [], renewalTime } = certificate.status ?? {};
  const ready = given.find(({ type }) => type === "Ready");
  if (ready?.status === "True") {
    conditions.markTrue("Ready");
    if (renewalTime === undefined || Date.parse(renewalTime) > nowMs) {
      conditions.remove(renewing);
      return { is: "ready" };
    }
    // It is still good, but the way to its issuer has to be open before it no longer is.
    conditions.markTrue(renewing);
    return { is: "renewing" };
  }
  conditions.remove(renewing);
  const {
    status,
    reason = "",
    message = "",
  } = ready ?? {
    status: "Unknown",
    reason: "NoCertManagerCertCondition",
    message: "cert-manager has not said anything of its Certificate yet.",
  };
  if (status === "False" && !pending.includes(reason)) conditions.markFalse("Ready", reason, message);
  else conditions.markUnknown("Ready", reason, message);
  return { is: "not-ready" };
}

/** Whether an issuer asks over HTTP, on the host itself, whether the host is ours. */
export const asksOverHttp = (issuer: CmIssuer | undefined): boolean =>
  issuer?.spec.acme?.solvers?.[0]?.http01 !== undefined;

type Challenge = NonNullable<NonNullable<Certificate["status"]>["http01Challenges"]>[number];

const domainLabel = "acme.cert-manager.io/http-domain";

export const isSolver = ({ metadata }: Service): boolean => metadata.labels?.[domainLabel] !== undefined;

/** Where the answers to the issuer's questions are, as far as cert-manager has made the Services that give them. */
export function httpChallenges(
  dnsNames: readonly string[],
  services: readonly Service[],
  challenge: (name: string) => CmChallenge | undefined,
): Challenge[] {
  return dnsNames.flatMap((dnsName) => {
    const key = String(adler32(dnsName));
    return services
      .filter(({ metadata }) => metadata.labels?.[domainLabel] === key)
      .flatMap(({ metadata: { name = "", namespace = "", ownerReferences = [] }, spec }) => {
        const asked = challenge(ownerReferences[0]?.name ?? "");
        const port = spec.ports?.[0];
        const servicePort = port?.targetPort ?? port?.port;
        if (asked === undefined || servicePort === undefined) return [];
        const url = `http://${asked.spec.dnsName}/.well-known/acme-challenge/${asked.spec.token}`;
        return [{ url, serviceName: name, serviceNamespace: namespace, servicePort }];
      });
  });
}
