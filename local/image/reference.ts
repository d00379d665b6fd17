/** Names of images in the local store: `dev.local/NAME[:TAG][@sha256:…]`. */

export type ImageReference =
  | { is: "local"; repository: string; tag: string; digest?: string }
  /** Of another registry, or not a name at all. */
  | { is: "malformed" };

const pattern =
  /^dev\.local\/([a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/;

export function parseReference(image: string): ImageReference {
  const match = pattern.exec(image);
  if (match === null) return { is: "malformed" };
  const [, repository = "", tag = "latest", digest] = match;
  return { is: "local", repository, tag, ...(digest === undefined ? {} : { digest }) };
}

/** `dev.local/NAME:TAG`, the key of the store. */
export function formatReference(reference: { repository: string; tag: string }): string {
  return `dev.local/${reference.repository}:${reference.tag}`;
}
