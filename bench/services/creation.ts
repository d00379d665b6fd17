/** Creates Services by the clock, or as fast as they are taken, and hears when each of them is Ready. */
import { isObserved, isReady } from "../../api/conditions.ts";
import { keyOf } from "../../api/meta.ts";
import { kServices, type KService } from "../../api/serving.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import { silentLogger } from "../../process/logger.ts";

const namespace = "default";
/** The one that is called before anything is measured: its pod comes and goes by itself. */
export const firstService = "works";
/** Creations under way at once where no clock sets the pace: as many as the client has connections. */
const mostAtOnce = 32;

export interface Timing {
  name: string;
  /** Until the API server has answered, from when the Service was due. */
  createdMs: number;
  /** Until its watch said Ready, from when it was due. */
  readyMs: number;
}

/** At zero from the start: nothing but the platform works for it. */
export const makeService = (name: string): KService => ({
  apiVersion: "serving.knative.dev/v1",
  kind: "Service",
  metadata: { name, namespace },
  spec: {
    template: {
      metadata: { annotations: { "autoscaling.knative.dev/initial-scale": "0" } },
      spec: { containers: [{ name: "user-container", image: "dev.local/hello" }] },
    },
  },
});

export const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** What is known of the Services, from one watch. */
export class Readiness {
  readonly #client: KubeClient;
  readonly #informer: Informer<KService>;
  readonly #stop = new AbortController();
  readonly #waiting = new Map<string, (atMs: number) => void>();

  private constructor(client: KubeClient) {
    this.#client = client;
    this.#informer = createInformer<KService>({ client, resource: kServices, namespace, log: silentLogger });
    this.#informer.onChange(({ object }) => {
      if (isReady(object) && isObserved(object)) this.#waiting.get(keyOf(object))?.(performance.now());
    });
    void this.#informer.run(this.#stop.signal);
  }

  static async open(client: KubeClient): Promise<Readiness> {
    const readiness = new Readiness(client);
    await readiness.#informer.synced();
    return readiness;
  }

  /** One Service; `dueMs` on the clock of `performance.now()`. `onAnswer`: the API server has taken it. */
  async create(name: string, dueMs: number, deadlineMs: number, onAnswer = (): void => {}): Promise<Timing> {
    const ready = this.#ready(name, deadlineMs);
    ready.catch(() => {}); // the creation may fail first
    await this.#client.create(kServices, makeService(name));
    const createdMs = performance.now() - dueMs;
    onAnswer();
    return { name, createdMs, readyMs: (await ready) - dueMs };
  }

  async #ready(name: string, deadlineMs: number): Promise<number> {
    const key = `${namespace}/${name}`;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const deadline = setTimeout(() => {
      const conditions = JSON.stringify(this.#informer.get(key)?.status?.conditions ?? "no status");
      reject(new Error(`${name} is not Ready after ${deadlineMs / 1000} s: ${conditions}`));
    }, deadlineMs);
    this.#waiting.set(key, resolve);
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
      this.#waiting.delete(key);
    }
  }

  close(): void {
    this.#stop.abort();
  }
}

/** Each at its own time, whatever became of those before it. */
export async function createAtRate(
  readiness: Readiness,
  services: readonly string[],
  perSecond: number,
  deadlineMs: number,
): Promise<Timing[]> {
  const startMs = performance.now();
  const under: Promise<Timing>[] = [];
  for (const [index, name] of services.entries()) {
    const dueMs = startMs + (index * 1000) / perSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const one = readiness.create(name, dueMs, deadlineMs);
    one.catch(() => {}); // all are looked at below
    under.push(one);
  }
  return Promise.all(under);
}

/** As fast as the API server takes them: each is due when the one before it on its connection was answered. */
export async function createAtOnce(
  readiness: Readiness,
  services: readonly string[],
  deadlineMs: number,
): Promise<Timing[]> {
  const left = services.values();
  const under: Promise<Timing>[] = [];
  const connection = async (): Promise<void> => {
    for (const name of left) {
      const answered = Promise.withResolvers<void>();
      const one = readiness.create(name, performance.now(), deadlineMs, answered.resolve);
      under.push(one);
      await Promise.race([answered.promise, one]);
    }
  };
  await Promise.all(Array.from({ length: mostAtOnce }, connection));
  return Promise.all(under);
}
