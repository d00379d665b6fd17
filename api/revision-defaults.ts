/** What the ConfigMap `config-defaults` decides about a Revision (spec: serving-api 3.1). */
export interface RevisionDefaults {
  timeoutSeconds: number;
  maxTimeoutSeconds: number;
  responseStartTimeoutSeconds: number;
  /** 0 = none. */
  idleTimeoutSeconds: number;
  /** Quantities for containers that name none, by resource: `cpu`, `memory`, `ephemeral-storage`. */
  requests: Readonly<Record<string, string>>;
  limits: Readonly<Record<string, string>>;
  /** Renders for the metadata of the object that carries the template. */
  containerName: (parent: object) => string;
  initContainerName: (parent: object) => string;
  /** 0 = unlimited. */
  containerConcurrency: number;
  containerConcurrencyMaxLimit: number;
  allowContainerConcurrencyZero: boolean;
  /** undefined leaves the field alone. */
  enableServiceLinks: boolean | undefined;
}
