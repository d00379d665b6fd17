/** ConfigMap `config-certmanager`: which issuer signs which Certificates (spec: serving-api 4.15). */
import { parse } from "yaml";
import { type Data, ConfigValues } from "./values.ts";

/** As cert-manager.io/v1 has it. */
export interface IssuerReference {
  name: string;
  kind?: string;
  group?: string;
}

export interface CertManagerConfig {
  /** Of hosts outside the cluster. */
  issuerRef: Readonly<IssuerReference>;
  clusterLocalIssuerRef: Readonly<IssuerReference>;
  systemInternalIssuerRef: Readonly<IssuerReference>;
}

const stock: IssuerReference = { kind: "ClusterIssuer", name: "knative-selfsigned-issuer" };
const fields = ["kind", "name", "group"];

/** Throws ConfigError. What a reference leaves out is that of the stock issuer. */
export function parseCertManagerConfig(data: Data | undefined): Readonly<CertManagerConfig> {
  const values = new ConfigValues(data);
  const reference = (key: string): Readonly<IssuerReference> => {
    const text = values.raw(key);
    if (text === undefined) return stock;
    const problem = (what: string): void => values.problem(`failed to parse ${JSON.stringify(key)}: ${what}`);
    let given: unknown;
    try {
      given = parse(text);
    } catch (error) {
      problem((error as Error).message);
      return stock;
    }
    if (given === null) return stock;
    if (typeof given !== "object" || Array.isArray(given)) {
      problem("not a reference to an issuer");
      return stock;
    }
    const entries = Object.entries(given as Record<string, unknown>);
    for (const [field, value] of entries) {
      if (!fields.includes(field)) problem(`unknown field "${field}"`);
      else if (typeof value !== "string") problem(`${field} is not a text`);
    }
    return { ...stock, ...(given as Partial<IssuerReference>) };
  };
  const config = {
    issuerRef: reference("issuerRef"),
    clusterLocalIssuerRef: reference("clusterLocalIssuerRef"),
    systemInternalIssuerRef: reference("systemInternalIssuerRef"),
  };
  for (const [key, { name }] of Object.entries(config))
    if (name === "") values.problem(`failed to parse ${JSON.stringify(key)}: name is empty`);
  return values.finish(config);
}
