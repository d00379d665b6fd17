/**
 * The calls the project makes to a Kubernetes API server. Two implementations: HTTPS (`https-client.ts`), used by
 * the components, and the embedded API server's own, used by the controllers that run in its process.
 */
import type { KubeList, KubeObject, Resource, Status } from "../api/meta.ts";
import type { ClientCounts } from "./client-counts.ts";

export interface WriteOptions {
  dryRun?: boolean;
  fieldManager?: string;
  subresource?: "status" | "scale";
}

export interface ListOptions {
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion?: string;
}

/** What is kept of each object of a list; called as they come, so that a large list is never held as a whole. */
export type Trim<T> = (object: T) => T;

export interface WatchOptions extends ListOptions {
  /** Events after this version are sent. */
  resourceVersion: string;
  timeoutSeconds?: number;
  signal: AbortSignal;
}

export type Patch =
  | {
      is: "json";
      operations: {
        op: "add" | "remove" | "replace" | "test" | "move" | "copy";
        path: string;
        value?: unknown;
        from?: string;
      }[];
    }
  | { is: "merge"; body: object }
  | { is: "strategic"; body: object };

export interface DeleteOptions {
  propagationPolicy?: "Background" | "Foreground" | "Orphan";
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
}

export type WatchEvent<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: T }
  | { type: "BOOKMARK"; object: { metadata: { resourceVersion: string } } }
  | { type: "ERROR"; object: Status };

/** Every method throws {@link ApiError} when the server says no, and the transport's error when it says nothing. */
export interface KubeClient {
  /** What was asked of the server and how it answered, where that is counted. */
  readonly counts?: ClientCounts;
  get<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace?: string,
    subresource?: "status" | "scale",
  ): Promise<T>;
  /** An implementation that has the objects anyway may leave `trim` to its caller. */
  list<T extends KubeObject>(resource: Resource, options?: ListOptions, trim?: Trim<T>): Promise<KubeList<T>>;
  /** Namespace and name come from the object. */
  create<T extends KubeObject>(resource: Resource, object: T, options?: WriteOptions): Promise<T>;
  /** Refused with 409 when `metadata.resourceVersion` is set and no longer the stored one. */
  update<T extends KubeObject>(resource: Resource, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T>;
  delete(resource: Resource, name: string, namespace?: string, options?: DeleteOptions): Promise<void>;
  /** Ends when the server closes the watch; throws ApiError 410 when the version is too old. */
  watch<T extends KubeObject>(resource: Resource, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
}

/** The server answered with a failure. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: Status;

  constructor(status: Status) {
    super(status.message ?? status.reason ?? `HTTP ${status.code}`);
    this.status = status;
  }

  get code(): number {
    return this.status.code;
  }

  get reason(): string {
    return this.status.reason ?? "";
  }
}

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.code === 404;
export const isConflict = (error: unknown): boolean => error instanceof ApiError && error.reason === "Conflict";
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof ApiError && error.reason === "AlreadyExists";
