/** The webhook's three doors over TLS. */
import Fastify, { type FastifyError } from "fastify";
import type { Server } from "node:https";
import type { PlatformConfig } from "../config/store.ts";
import {
  admitConfigMap,
  admitIfPodFits,
  admitIfValid,
  admitWithDefaults,
  type AdmissionRequest,
  type AdmissionResponse,
} from "./admission.ts";
import type { Certificate } from "./certificate.ts";
import type { TryPod } from "./dry-run.ts";
import { WebhookMetrics, type WebhookType } from "./webhook-metrics.ts";

const bodyLimitBytes = 3 * 1024 * 1024;
const probePaths = ["/health", "/readiness"];

export interface WebhookServerOptions {
  certificate: Certificate;
  clusterDomain: string;
  config: () => PlatformConfig;
  /** Asks the API server about a pod; absent: dry runs of Services do not look at their pods. */
  tryPod?: TryPod;
  /** Where requests are counted. */
  metrics?: WebhookMetrics;
}

export interface WebhookServer {
  /** Not listening yet. */
  server: Server;
  /** New connections get the new certificate. */
  useCertificate(certificate: Certificate): void;
  close(): Promise<void>;
}

export async function createWebhookServer({
  certificate,
  clusterDomain,
  config,
  tryPod,
  metrics = new WebhookMetrics(),
}: WebhookServerOptions): Promise<WebhookServer> {
  const app = Fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: 10_000,
    https: { key: certificate.key, cert: certificate.cert, minVersion: "TLSv1.3" },
  });
  for (const path of probePaths) app.get(path, () => "ok");
  app.addHook("onResponse", async ({ method, hostname, headers, raw, url }, reply) => {
    if (probePaths.includes(url)) return;
    metrics.answered({
      method: reply.request.is404 ? "_OTHER" : method,
      status: reply.statusCode,
      host: hostname,
      version: raw.httpVersion,
      tookMs: reply.elapsedTime,
      requestBytes: Number(headers["content-length"] ?? 0),
      responseBytes: Number(reply.getHeader("content-length") ?? 0),
    });
  });
  // Fastify reads text/plain by itself; here anything but JSON is a mistake.
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const isMediaType = error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE";
    reply.code(error.statusCode ?? 500);
    return isMediaType ? "invalid Content-Type, want `application/json`" : error.message;
  });
  type Admit = (request: AdmissionRequest) => AdmissionResponse | Promise<AdmissionResponse>;
  const review = (path: string, type: WebhookType, admit: Admit): void => {
    app.post<{ Body?: { apiVersion?: string; request?: AdmissionRequest } | null }>(path, async ({ body }, reply) => {
      if (typeof body?.request?.uid !== "string") {
        reply.code(400);
        return "could not decode body: want an AdmissionReview with a request";
      }
      const startMs = performance.now();
      const response = await admit(body.request);
      metrics.handled(type, body.request, response.allowed, performance.now() - startMs);
      return { apiVersion: body.apiVersion ?? "admission.k8s.io/v1", kind: "AdmissionReview", response };
    });
  };
  review("/defaulting", "defaulting", (request) => admitWithDefaults(request, config()));
  review("/resource-validation", "validation", (request) => {
    const response = admitIfValid(request, config(), clusterDomain);
    return tryPod === undefined ? response : admitIfPodFits(request, response, tryPod);
  });
  review("/config-validation", "validation", (request) => admitConfigMap(request, clusterDomain));
  await app.ready();
  const { server } = app;
  return {
    server,
    useCertificate({ key, cert }) {
      server.setSecureContext({ key, cert, minVersion: "TLSv1.3" });
    },
    close: async () => {
      await app.close();
    },
  };
}
