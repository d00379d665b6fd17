/**
 * Certificates by server name, from the Secrets that KIngresses name (data-plane 3.2.9). One watch over the cluster's
 * TLS Secrets, which starts when the first route names one; a new content is used by the next handshake.
 */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { anyHost, hostName } from "../../api/ingress-claims.ts";
import { secrets, type Secret } from "../../api/core.ts";
import { keyOf } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import type { SecretName } from "./route-table.ts";

/** PEM. The object stays the same while the Secret's content does. */
export interface KeyPair {
  cert: Buffer;
  key: Buffer;
}

export interface CertificatesOptions {
  client: KubeClient;
  log: Logger;
}

export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #stop = new AbortController();
  #informer: Informer<Secret> | undefined;
  #running: Promise<void> | undefined;
  #byHost: ReadonlyMap<string, SecretName> = new Map();
  /** Those that routes name. */
  #wanted = new Set<string>();
  readonly #pairs = new Map<string, KeyPair>();

  constructor(options: CertificatesOptions) {
    this.#options = options;
  }

  /** Host → Secret, from the route table. */
  want(byHost: ReadonlyMap<string, SecretName>): void {
    this.#byHost = byHost;
    const wanted = new Set([...byHost.values()].map(({ namespace, name }) => `${namespace}/${name}`));
    const added = [...wanted].filter((key) => !this.#wanted.has(key));
    this.#wanted = wanted;
    for (const key of this.#pairs.keys()) if (!wanted.has(key)) this.#pairs.delete(key);
    if (wanted.size > 0) this.#start();
    for (const key of added) this.#load(key);
  }

  /** Resolves when what is wanted is known as far as it exists; for the first start. Never rejects. */
  async settled(signal: AbortSignal): Promise<void> {
    await this.#informer?.synced(signal).catch(() => undefined);
  }

  /** The pair for a server name, undefined when there is none. Without a name, that of routes for any host. */
  select(servername: string | undefined): KeyPair | undefined {
    const secret = this.#byHost.get(hostName(servername ?? anyHost)) ?? this.#byHost.get(anyHost);
    return secret && this.#pairs.get(`${secret.namespace}/${secret.name}`);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #start(): void {
    if (this.#informer !== undefined || this.#stop.signal.aborted) return;
    const { client, log } = this.#options;
    this.#informer = createInformer<Secret>({
      client,
      resource: secrets,
      fieldSelector: "type=kubernetes.io/tls",
      log,
    });
    this.#informer.onChange(({ object }) => this.#load(keyOf(object)));
    this.#running = this.#informer.run(this.#stop.signal);
  }

  /** A pair that cannot be used changes nothing: the last good one stays. */
  #load(key: string): void {
    if (!this.#wanted.has(key)) return;
    const secret = this.#informer?.get(key);
    if (secret === undefined) return;
    try {
      const pair = pairOf(secret);
      const known = this.#pairs.get(key);
      if (known?.cert.equals(pair.cert) !== true || !known.key.equals(pair.key)) this.#pairs.set(key, pair);
    } catch (error) {
      this.#options.log.warn({ err: error, secret: key }, "a certificate cannot be used");
    }
  }
}

/** @throws Error when the certificate or its key is missing or broken, or one is not the other's */
function pairOf({ data = {} }: Secret): KeyPair {
  const read = (name: string): Buffer => {
    const value = data[name] ?? "";
    if (value === "") throw new Error(`the Secret has no ${name}`);
    return Buffer.from(value, "base64");
  };
  const pair = { cert: read("tls.crt"), key: read("tls.key") };
  if (!new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)))
    throw new Error("tls.key is not the key of tls.crt");
  return pair;
}
