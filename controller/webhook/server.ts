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

const bodyLimitBytes = 3 * 1024 * 1024;

export interface WebhookServerOptions {
  certificate: Certificate;
  clusterDomain: string;
  config: () => PlatformConfig;
  /** Asks the API server about a pod; absent: dry runs of Services do not look at their pods. */
  tryPod?: TryPod;
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
}: WebhookServerOptions): Promise<WebhookServer> {
  const app = Fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: 10_000,
    https: { key: certificate.key, cert: certificate.cert, minVersion: "TLSv1.3" },
  });
  app.get("/health", () => "ok");
  app.get("/readiness", () => "ok");
  // Fastify reads text/plain by itself; here anything but JSON is a mistake.
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const isMediaType = error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE";
    reply.code(error.statusCode ?? 500);
    return isMediaType ? "invalid Content-Type, want `application/json`" : error.message;
  });
  type Admit = (request: AdmissionRequest) => AdmissionResponse | Promise<AdmissionResponse>;
  const review = (path: string, admit: Admit): void => {
    app.post<{ Body?: { apiVersion?: string; request?: AdmissionRequest } | null }>(path, async ({ body }, reply) => {
      if (typeof body?.request?.uid !== "string") {
        reply.code(400);
        return "could not decode body: want an AdmissionReview with a request";
      }
      return {
        apiVersion: body.apiVersion ?? "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: await admit(body.request),
      };
    });
  };
  review("/defaulting", (request) => admitWithDefaults(request, config()));
  review("/resource-validation", (request) => {
    const response = admitIfValid(request, config(), clusterDomain);
    return tryPod === undefined ? response : admitIfPodFits(request, response, tryPod);
  });
  review("/config-validation", (request) => admitConfigMap(request, clusterDomain));
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
