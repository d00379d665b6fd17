/** Names of child objects (spec: serving-api 1.11). Deterministic, at most 63 characters. */
import { createHash } from "node:crypto";

const longest = 63;
const md5Length = 32;

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");

/** `parent` + `suffix`; where that is too long the parent's head is kept and the rest replaced by a hash. */
export function childName(parent: string, suffix: string): string {
  if (parent.length + suffix.length <= longest) return parent + suffix;
  const head = longest - md5Length;
  if (suffix.length < head) return parent.slice(0, head - suffix.length) + md5(parent) + suffix;
  const name = parent.slice(0, head) + md5(parent + suffix);
  return (name + suffix.slice(0, Math.max(0, longest - name.length))).replace(/[^a-zA-Z0-9]+$/u, "");
}

export const deploymentName = (revision: string): string => childName(revision, "-deployment");
export const privateServiceName = (serverlessService: string): string => childName(serverlessService, "-private");
export const imageCacheName = (revision: string, container: string): string =>
  childName(childName(revision, "-cache"), `-${container}`);
export const routeIngressName = (route: string): string => childName(route, "");

export const domainMappingIngressName = (domain: string): string => childName(domain, "");
export const domainMappingCertificateName = (domain: string): string => childName(domain, "");

/** The Revision that a Configuration makes for one of its generations, unless the template names it. */
export const revisionName = (configuration: string, generation: number): string =>
  childName(configuration, `-${String(generation).padStart(5, "0")}`);
