/** AdmissionReview in, AdmissionReview out (admission.k8s.io/v1): no I/O but what is passed in. */
import { isDeepStrictEqual } from "node:util";
import { crc32 } from "node:zlib";
import { withDefaults } from "../../api/defaulting/kinds.ts";
import { sameValue } from "../../api/equality.ts";
import type { ConfigMap } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { validate } from "../../api/validation/kinds.ts";
import { ConfigError } from "../../process/env.ts";
import { configMapName, configParsers, type ConfigName, type PlatformConfig } from "../config/store.ts";
import { trialPod, type TryPod } from "./dry-run.ts";

export interface AdmissionRequest {
  uid: string;
  operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  /** Of the object. */
  kind?: { group?: string; version?: string; kind?: string };
  subResource?: string;
  dryRun?: boolean;
  userInfo?: { username?: string };
  object?: KubeObject | null;
  oldObject?: KubeObject | null;
}

export interface AdmissionResponse {
  uid: string;
  allowed: boolean;
  status?: { code: number; message: string; reason: string; status: "Failure" };
  patchType?: "JSONPatch";
  /** base64 of a JSON patch. */
  patch?: string;
  warnings?: string[];
}

type PatchOperation = { op: "add" | "replace"; path: string; value: unknown };

const refused = (uid: string, message: string): AdmissionResponse => ({
  uid,
  allowed: false,
  status: { status: "Failure", code: 400, reason: "BadRequest", message },
});

/** Objects always have these two; what comes over the network need not. */
const isKubeObject = (object: KubeObject | null | undefined): object is KubeObject =>
  typeof object?.apiVersion === "string" && typeof object.kind === "string" && typeof object.metadata === "object";

export function admitWithDefaults(request: AdmissionRequest, config: PlatformConfig): AdmissionResponse {
  const { uid, object, oldObject, subResource = "", userInfo, operation } = request;
  if (operation !== "CREATE" && operation !== "UPDATE") return { uid, allowed: true };
  if (!isKubeObject(object)) return refused(uid, "mutation failed: the new object may not be nil");
  const defaulting = {
    ...config,
    podAutoscalerClass: config.autoscaler.podAutoscalerClass,
  };
  const common = { subresource: subResource, username: userInfo?.username ?? "" };
  let after: KubeObject;
  try {
    after = withDefaults({ ...common, object, ...(oldObject ? { old: oldObject } : {}) }, defaulting);
  } catch (error) {
    return refused(uid, `mutation failed: ${(error as Error).message}`);
  }
  const operations = patchOf(object, after);
  if (operations.length === 0) return { uid, allowed: true };
  const patch = Buffer.from(JSON.stringify(operations)).toString("base64");
  return { uid, allowed: true, patchType: "JSONPatch", patch };
}

/** Without what JSON does not carry. */
const asSent = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Defaults only ever touch these two. */
function patchOf(before: KubeObject, after: KubeObject): PatchOperation[] {
  const operations: PatchOperation[] = [];
  const { annotations } = after.metadata;
  if (annotations !== undefined && !sameValue(before.metadata.annotations, annotations))
    operations.push({ op: "add", path: "/metadata/annotations", value: annotations });
  const specBefore = (before as { spec?: unknown }).spec;
  const specAfter = (after as { spec?: unknown }).spec;
  // A null that stays behind counts as a change of the spec, and makes a Revision.
  if (specAfter !== undefined && !isDeepStrictEqual(specBefore, asSent(specAfter)))
    operations.push({ op: specBefore === undefined ? "add" : "replace", path: "/spec", value: specAfter });
  return operations;
}

export function admitIfValid(
  request: AdmissionRequest,
  config: PlatformConfig,
  clusterDomain: string,
): AdmissionResponse {
  const { uid, operation, object, oldObject, subResource = "" } = request;
  // Whatever is wrong with an object, it can be deleted.
  if (operation !== "CREATE" && operation !== "UPDATE") return { uid, allowed: true };
  if (!isKubeObject(object)) return refused(uid, "validation failed: the new object may not be nil");
  const problems = validate(
    { object, ...(oldObject ? { old: oldObject } : {}), subresource: subResource, clusterDomain },
    config,
  );
  const { refusal } = problems;
  // A warning with a line end in it would be dropped on its way.
  const warnings = problems.warnings.flatMap((warning) => warning.split("\n"));
  const response = refusal === "" ? { uid, allowed: true } : refused(uid, `validation failed: ${refusal}`);
  return warnings.length === 0 ? response : { ...response, warnings };
}

/** On a dry run, a Service that is valid also needs a pod that the API server would take. */
export async function admitIfPodFits(
  { uid, operation, object, subResource = "", dryRun = false }: AdmissionRequest,
  response: AdmissionResponse,
  tryPod: TryPod,
): Promise<AdmissionResponse> {
  const isWrite = operation === "CREATE" || operation === "UPDATE";
  const pod = response.allowed && dryRun && isWrite && subResource === "" && object ? trialPod(object) : undefined;
  if (pod === undefined) return response;
  let problem: string | undefined;
  try {
    problem = await tryPod(pod);
  } catch (error) {
    problem = (error as Error).message;
  }
  if (problem === undefined) return response;
  return {
    ...response,
    ...refused(uid, `validation callback failed: dry run failed with ${problem}: spec.template`),
  };
}

const exampleChecksum = "knative.dev/example-checksum";

/** One of the platform's ConfigMaps has to be readable by the parser that will read it; others pass. */
export function admitConfigMap({ uid, operation, object }: AdmissionRequest, clusterDomain: string): AdmissionResponse {
  if (operation !== "CREATE" && operation !== "UPDATE") return { uid, allowed: true };
  const { data, metadata } = (object ?? {}) as Partial<ConfigMap>;
  const parsers = configParsers(clusterDomain);
  const name = (Object.keys(parsers) as ConfigName[]).find((part) => configMapName(part) === metadata?.name);
  if (name === undefined) return { uid, allowed: true };

  const example = data?.["_example"];
  const checksum = metadata?.annotations?.[exampleChecksum];
  if (example !== undefined && checksum !== undefined && checksum !== checksumOf(example))
    return refused(
      uid,
      'validation failed: the update modifies a key in "_example" which is probably not what you want. Instead, copy the respective setting to the top-level of the ConfigMap, directly below "data"',
    );
  try {
    parsers[name](data);
    return { uid, allowed: true };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return refused(uid, `validation failed: ${error.problems.join("\n")}`);
  }
}

/** CRC-32 of the trimmed text with each run of line ends as the two characters `\n`; eight hex digits. */
export const checksumOf = (example: string): string =>
  crc32(example.trim().replaceAll(/(?:\r?\n)+/gu, String.raw`\n`))
    .toString(16)
    .padStart(8, "0");
