/** Asks one webhook over HTTPS: by its URL, or through the Service that its configuration names. */
import { Agent } from "undici";
import { endpoints, services, type Endpoints, type Service } from "../../api/core.ts";
import type { Status } from "../../api/meta.ts";
import { isObject } from "./json-value.ts";
import { resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";

export interface ClientConfig {
  url?: string;
  service?: { namespace: string; name: string; path?: string; port?: number };
  /** PEM in base64. */
  caBundle?: string;
}

export interface AdmissionReview {
  apiVersion: "admission.k8s.io/v1";
  kind: "AdmissionReview";
  request: { uid: string; [field: string]: unknown };
}

export interface AdmissionAnswer {
  allowed: boolean;
  status?: Partial<Status>;
  /** JSON patch in base64. */
  patch?: string;
  warnings?: string[];
}

/** The webhook gave no usable answer; its failurePolicy decides what that means. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
}

export type CallWebhook = (
  config: ClientConfig,
  timeoutMs: number,
  review: AdmissionReview,
) => Promise<AdmissionAnswer>;

const mostAnswerBytes = 8 * 1024 * 1024;
/** Connections are kept per webhook and certificate authority; configurations that were replaced fall out. */
const mostAgents = 16;
/** To each of them: a burst of writes is not worth as many handshakes. */
const mostConnections = 16;

/** `close` ends the kept connections. */
export function createWebhookCaller(store: Store): { call: CallWebhook; close: () => Promise<void> } {
  const agents = new Map<string, Agent>();

  function agentFor(caBundle: string, servername: string): Agent {
    const key = `${servername} ${caBundle}`;
    let agent = agents.get(key);
    if (agent === undefined) {
      const ca = caBundle === "" ? undefined : Buffer.from(caBundle, "base64").toString("utf8");
      agent = new Agent({
        connect: { servername, ...(ca === undefined ? {} : { ca }) },
        connections: mostConnections,
        keepAliveTimeout: 30_000,
      });
      agents.set(key, agent);
    }
    for (const [oldKey, old] of agents) {
      if (agents.size <= mostAgents) break;
      agents.delete(oldKey);
      void old.close();
    }
    return agent;
  }

  async function post(config: ClientConfig, signal: AbortSignal, query: string, body: string): Promise<unknown> {
    const target = targetOf(config, store);
    if (target.origin === undefined) throw new Error(target.problem);
    const answer = await agentFor(config.caBundle ?? "", target.servername).request({
      origin: target.origin,
      path: withQuery(target.path, query),
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", host: target.host },
      body,
      signal,
    });
    let text = "";
    for await (const chunk of answer.body.setEncoding("utf8")) {
      text += String(chunk);
      if (text.length > mostAnswerBytes) throw new Error(`the answer is larger than ${mostAnswerBytes} bytes`);
    }
    if (answer.statusCode !== 200) throw new Error(`the server answered ${answer.statusCode}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }

  async function call(config: ClientConfig, timeoutMs: number, review: AdmissionReview): Promise<AdmissionAnswer> {
    const query = `timeout=${timeoutMs / 1000}s`;
    const signal = AbortSignal.timeout(timeoutMs);
    const failed = (why: string, cause?: unknown): WebhookError => {
      const url = JSON.stringify(withQuery(targetOf(config, store).shown, query));
      return new WebhookError(`failed to call webhook: Post ${url}: ${why}`, { cause });
    };
    const body = JSON.stringify(review);
    let answer: unknown;
    try {
      // The pod behind a kept connection may be gone, and another one there. Asking twice does no harm.
      answer = await post(config, signal, query, body).catch((error: unknown) => {
        if (!isBroken(error)) throw error;
        return post(config, signal, query, body);
      });
    } catch (error) {
      const timedOut = error instanceof DOMException && error.name === "TimeoutError";
      throw failed(timedOut ? "context deadline exceeded" : (error as Error).message, error);
    }
    const response = isObject(answer) ? answer["response"] : undefined;
    if (!isObject(response)) throw failed("the answer has no response");
    if (response["uid"] !== review.request.uid) throw failed("the answer is for another uid");
    return response as unknown as AdmissionAnswer;
  }

  return {
    call,
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

const withQuery = (path: string, query: string): string => `${path}${path.includes("?") ? "&" : "?"}${query}`;

const isBroken = (error: unknown): boolean =>
  ["ECONNREFUSED", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"].includes(String((error as NodeJS.ErrnoException).code));

type Target = { shown: string; path: string; host: string; servername: string } & (
  | { origin: string }
  | { origin: undefined; problem: string }
);

/** There is no service network: a ready address behind the Service is dialled. */
function targetOf(config: ClientConfig, store: Store): Target {
  if (config.service === undefined) {
    const url = new URL(config.url ?? "");
    return {
      shown: url.href,
      path: `${url.pathname}${url.search}`,
      host: url.host,
      servername: url.hostname,
      origin: url.origin,
    };
  }
  const { namespace, name, path = "/", port = 443 } = config.service;
  const host = `${name}.${namespace}.svc`;
  const base = { shown: `https://${host}:${port}${path}`, path, host: `${host}:${port}`, servername: host };
  const service = store.get(resourceName(services), namespace, name) as Service | undefined;
  if (service === undefined)
    return { ...base, origin: undefined, problem: `service ${JSON.stringify(name)} not found` };
  const servicePort = service.spec.ports?.find((one) => one.port === port);
  if (servicePort === undefined)
    return { ...base, origin: undefined, problem: `no service port ${port} found for service ${JSON.stringify(name)}` };
  const found: Endpoints | undefined = store.get(resourceName(endpoints), namespace, name);
  for (const subset of found?.subsets ?? []) {
    const target = subset.ports?.find((one) => (one.name ?? "") === (servicePort.name ?? ""));
    const addresses = subset.addresses ?? [];
    const address = addresses[Math.floor(Math.random() * addresses.length)];
    if (target !== undefined && address !== undefined)
      return { ...base, origin: `https://${address.ip}:${target.port}` };
  }
  return { ...base, origin: undefined, problem: `no endpoints available for service ${JSON.stringify(name)}` };
}
