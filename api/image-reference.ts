/** Image references as container runtimes read them. */
export interface ImageReference {
  /** Host and port; `index.docker.io` when the image names none. */
  registry: string;
  /** For example `library/nginx`. */
  repository: string;
  /** A tag (`latest` when there is none) or `sha256:…`. */
  reference: string;
  isDigest: boolean;
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/u;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/u;

/** Undefined for what is no image reference. */
export function parseImage(text: string): ImageReference | undefined {
  const [named = "", digest, ...more] = text.split("@");
  if (more.length > 0 || (digest !== undefined && !/^sha256:[0-9a-f]{64}$/u.test(digest))) return undefined;
  const slash = named.indexOf("/");
  const first = slash < 0 ? "" : named.slice(0, slash);
  const hasHost = first !== "" && (/[.:]/u.test(first) || first === "localhost");
  const rest = hasHost ? named.slice(slash + 1) : named;
  const colon = rest.lastIndexOf(":");
  const hasTag = colon > rest.lastIndexOf("/");
  const path = hasTag ? rest.slice(0, colon) : rest;
  const tag = hasTag ? rest.slice(colon + 1) : "latest";
  if (!tagPattern.test(tag) || path.length > 255 || !path.split("/").every((part) => component.test(part)))
    return undefined;
  if (hasHost && !/^[A-Za-z0-9.-]+(?::\d+)?$/u.test(first)) return undefined;
  const registry = hasHost && first !== "docker.io" ? first : "index.docker.io";
  const repository = registry === "index.docker.io" && !path.includes("/") ? `library/${path}` : path;
  return { registry, repository, reference: digest ?? tag, isDigest: digest !== undefined };
}
