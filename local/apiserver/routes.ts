/** What a path means: the API's documents, or a resource with its namespace, name and subresource. */

export type Route =
  | {
      is: "resource";
      group: string;
      version: string;
      namespace: string;
      plural: string;
      name: string;
      subresource: string;
    }
  | { is: "resources"; group: string; version: string }
  | { is: "group"; group: string }
  /** `/api`, `/apis`, `/version`, `/healthz/…`, `/openapi/…` and whatever else. */
  | { is: "document"; path: string };

/** Undefined for a path that cannot be read. */
export function routeOf(path: string): Route | undefined {
  let steps: string[];
  try {
    steps = path
      .split("/")
      .filter((step) => step !== "")
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
  const [root, ...rest] = steps;
  if (root === "api" && rest.length > 0) return versioned("", rest);
  if (root === "apis" && rest.length > 0) {
    const [group = "", ...afterGroup] = rest;
    return afterGroup.length === 0 ? { is: "group", group } : versioned(group, afterGroup);
  }
  return { is: "document", path: `/${steps.join("/")}` };
}

function versioned(group: string, [version = "", ...steps]: string[]): Route | undefined {
  if (steps.length === 0) return { is: "resources", group, version };
  // `namespaces/x/status` is of the namespace itself, `namespaces/x/pods` is in it.
  const isInNamespace =
    steps[0] === "namespaces" && steps.length >= 3 && !(steps.length === 3 && isOfNamespace(steps[2]!));
  const namespace = isInNamespace ? steps[1]! : "";
  const [plural = "", name = "", subresource = "", ...more] = isInNamespace ? steps.slice(2) : steps;
  if (more.length > 0) return undefined;
  return { is: "resource", group, version, namespace, plural, name, subresource };
}

const isOfNamespace = (step: string): boolean => step === "status" || step === "finalize";
