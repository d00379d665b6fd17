/**
 * Where the API server is and who we are to it. Reading kubeconfig files, service account files and credential
 * plugins is @kubernetes/client-node's work; it is imported here only, and only its KubeConfig, to keep bundles small.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { ConfigError, type Env } from "../process/env.ts";
import { httpsClient, type HttpsClient } from "./https-client.ts";

/** A credential that a plugin or a file gave is asked for again when it is older; client-go's own period for files. */
const tokenMaxAgeMs = 60_000;
const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token";

interface Credentials {
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  auth?: string;
  rejectUnauthorized?: boolean;
  servername?: string;
  headers?: Record<string, string>;
}

/**
 * The files that `KUBECONFIG` names, else the service account of the pod. Throws {@link ConfigError} when there is
 * neither. Nothing is sent yet.
 */
export async function kubeClientFromEnvironment(env: Env, userAgent: string): Promise<HttpsClient> {
  // Loading it costs more than everything else here, so only processes that talk to an API server do.
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  const config = new KubeConfig();
  const files = (env["KUBECONFIG"] ?? "").split(path.delimiter).filter((file) => file !== "" && existsSync(file));
  const [first, ...others] = files;
  if (first !== undefined) {
    config.loadFromFile(first);
    for (const file of others) {
      const more = new KubeConfig();
      more.loadFromFile(file);
      config.mergeConfig(more, true);
    }
  } else if (existsSync(serviceAccountToken)) {
    config.loadFromCluster();
  } else {
    const named = env["KUBECONFIG"] ?? "";
    throw new ConfigError([
      named === ""
        ? `KUBECONFIG is not set and ${serviceAccountToken} does not exist: no API server to talk to`
        : `KUBECONFIG=${JSON.stringify(named)}: no such file`,
    ]);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new ConfigError([`the kubeconfig has no cluster for context ${config.currentContext}`]);

  const credentials = async (): Promise<Credentials> => {
    const options: Credentials = {};
    await config.applyToHTTPSOptions(options);
    return options;
  };
  const bearerOf = ({ headers }: Credentials): string | undefined => {
    const authorization = headers?.["Authorization"];
    return authorization?.startsWith("Bearer ") === true ? authorization.slice("Bearer ".length).trim() : undefined;
  };

  const start = await credentials();
  let token = bearerOf(start);
  let readMs = performance.now();
  const pem = (value: string | Buffer | undefined): string | undefined => value?.toString();
  const ca = pem(start.ca);
  const clientCert = pem(start.cert);
  const clientKey = pem(start.key);

  return httpsClient({
    server: cluster.server,
    userAgent,
    ...(ca === undefined ? {} : { ca }),
    ...(clientCert === undefined ? {} : { clientCert }),
    ...(clientKey === undefined ? {} : { clientKey }),
    ...(start.servername === undefined ? {} : { servername: start.servername }),
    ...(start.rejectUnauthorized === false ? { insecure: true } : {}),
    token() {
      const nowMs = performance.now();
      if (nowMs - readMs > tokenMaxAgeMs) {
        readMs = nowMs;
        // The old one serves until the new one is there: bound tokens live on for a while after rotation.
        credentials().then(
          (fresh) => {
            token = bearerOf(fresh) ?? token;
          },
          () => {
            // Asked again in a minute; until then the server's 401 says more than this error could.
          },
        );
      }
      return token;
    },
  });
}
