/**
 * TLS with sidecars and other ingresses, while system-internal-tls is on (data-plane 2.10). Whether it is on is read
 * once: Revisions have to get their certificates before anybody insists on them. Certificates and trust change freely.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type ConnectionOptions, type SecureContext } from "node:tls";
import { configMaps, secrets, type ConfigMap, type Secret } from "../api/core.ts";
import { isInternalTls } from "../api/internal-tls.ts";
import { internalTls, label } from "../api/keys.ts";
import type { KubeClient } from "../kube/client.ts";
import { createInformer, type Informer } from "../kube/informer.ts";
import type { Logger } from "../process/logger.ts";
import type { UpstreamTls } from "../proxy/exchange.ts";

const networkConfigMap = "config-network";

export interface KeyPair {
  /** PEM. */
  cert: Buffer;
  key: Buffer;
}

export interface InternalTlsOptions {
  client: KubeClient;
  systemNamespace: string;
  log: Logger;
  /** The pair we serve with is another one. */
  onPair: () => void;
}

export class InternalTls {
  readonly #options: InternalTlsOptions;
  readonly #network: Informer<ConfigMap>;
  readonly #secrets: Informer<Secret>;
  readonly #bundles: Informer<ConfigMap>;
  readonly #byNamespace = new Map<string, UpstreamTls>();
  #enabled = false;
  #pair: KeyPair | undefined;
  #context: SecureContext | undefined;

  constructor(options: InternalTlsOptions) {
    const { client, systemNamespace: namespace, log } = options;
    this.#options = options;
    const only = (name: string) => ({ client, namespace, fieldSelector: `metadata.name=${name}`, log });
    this.#network = createInformer<ConfigMap>({ ...only(networkConfigMap), resource: configMaps });
    this.#secrets = createInformer<Secret>({ ...only(internalTls.routingSecret), resource: secrets });
    const labelSelector = label.trustBundle;
    this.#bundles = createInformer<ConfigMap>({ client, namespace, labelSelector, log, resource: configMaps });
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** What we serve with. */
  get pair(): KeyPair | undefined {
    return this.#pair;
  }

  /**
   * Resolves when it is known what holds. Rejects when TLS is on and there is no certificate to speak it with. The
   * watches go on until the signal aborts.
   */
  async start(signal: AbortSignal): Promise<void> {
    const run = (informer: Informer<ConfigMap> | Informer<Secret>): Promise<void> => {
      informer.run(signal).catch((error: unknown) => this.#options.log.error({ err: error }, "a watch ended"));
      return informer.synced(signal);
    };
    await run(this.#network);
    const isOn = (): boolean =>
      isInternalTls(this.#network.get(`${this.#options.systemNamespace}/${networkConfigMap}`)?.data);
    this.#enabled = isOn();
    this.#network.onChange(() => {
      if (isOn() !== this.#enabled)
        this.#options.log.warn({ enabled: isOn() }, "system-internal-tls has changed: it holds after a restart");
    });
    if (!this.#enabled) return;
    await Promise.all([run(this.#secrets), run(this.#bundles)]);
    this.#secrets.onChange(() => this.#load());
    this.#bundles.onChange(() => this.#trust());
    this.#load();
    if (this.#pair === undefined)
      throw new Error(
        `system-internal-tls is enabled, and Secret ${this.#options.systemNamespace}/${internalTls.routingSecret} has no certificate`,
      );
  }

  /** What the sidecars of a namespace have to prove; undefined while TLS is off. */
  of(namespace: string): UpstreamTls | undefined {
    if (!this.#enabled) return undefined;
    let tls = this.#byNamespace.get(namespace);
    if (tls === undefined) {
      const id = internalTls.sidecarName(namespace);
      tls = { id, connectOptions: () => this.#connectOptions(id) };
      this.#byNamespace.set(namespace, tls);
    }
    return tls;
  }

  #connectOptions(name: string): ConnectionOptions {
    return {
      ...(this.#context === undefined ? { ca: [] } : { secureContext: this.#context }),
      servername: internalTls.serverName,
      minVersion: "TLSv1.3",
      checkServerIdentity: (_host, { subjectaltname = "" }) =>
        subjectaltname.split(", ").includes(`DNS:${name}`)
          ? undefined
          : new Error(`the certificate is not for ${name} but for ${subjectaltname}`),
    };
  }

  #load(): void {
    const data = this.#secret?.data;
    try {
      const pair = { cert: decoded(data, "tls.crt"), key: decoded(data, "tls.key") };
      if (!new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)))
        throw new Error("tls.key is not the key of tls.crt");
      this.#pair = pair;
      this.#options.onPair();
    } catch (error) {
      // The last good one stays.
      this.#options.log.warn({ err: error, secret: internalTls.routingSecret }, "a certificate cannot be used");
    }
    this.#trust();
  }

  #trust(): void {
    const texts = [
      Buffer.from(this.#secret?.data?.["ca.crt"] ?? "", "base64").toString(),
      ...this.#bundles.list().flatMap(({ data = {} }) => Object.values(data)),
    ];
    const ca = texts.flatMap((text) => this.#authorities(text));
    this.#context = createSecureContext({ ca, minVersion: "TLSv1.3" });
  }

  get #secret(): Secret | undefined {
    return this.#secrets.get(`${this.#options.systemNamespace}/${internalTls.routingSecret}`);
  }

  /** One that cannot be read takes no other with it. */
  #authorities(text: string): string[] {
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/gu) ?? [];
    return blocks.filter((block) => {
      try {
        return new X509Certificate(block).ca;
      } catch (error) {
        this.#options.log.warn({ err: error }, "a certificate of the trust bundles cannot be read");
        return false;
      }
    });
  }
}

function decoded(data: Secret["data"], name: string): Buffer {
  const value = data?.[name] ?? "";
  if (value === "") throw new Error(`the Secret has no ${name}`);
  return Buffer.from(value, "base64");
}
