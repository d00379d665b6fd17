/** How a source of stats proves who it is, and what its address is. */
import { status } from "@grpc/grpc-js";
import { createHmac, timingSafeEqual } from "node:crypto";

/** base64url(HMAC-SHA256(key, subject)), the token that the controller puts into pods. */
export function statsToken(key: Buffer, subject: string): string {
  return createHmac("sha256", key).update(subject).digest("base64url");
}

export interface Credentials {
  /** Why a source is not let in, undefined if its token is good. */
  refusal(subject: string, token: string): { code: status; why: string } | undefined;
}

/** `key`: undefined until it is known. */
export function createCredentials(key: () => Buffer | undefined): Credentials {
  return {
    refusal(subject, token) {
      const known = key();
      if (known === undefined) return { code: status.UNAVAILABLE, why: "the signing key is not known yet" };
      const want = Buffer.from(statsToken(known, subject));
      const got = Buffer.from(token);
      if (got.length === want.length && timingSafeEqual(got, want)) return undefined;
      return { code: status.UNAUTHENTICATED, why: "the token is not for this source" };
    },
  };
}

/** `1.2.3.4:5`, `::1:5` and `[::1]:5` → the address. */
export function peerAddress(peer: string): string | undefined {
  const colon = peer.lastIndexOf(":");
  if (colon <= 0) return undefined;
  const host = peer.slice(0, colon).replace(/^\[|\]$/gu, "");
  const address = host.startsWith("::ffff:") && host.includes(".") ? host.slice("::ffff:".length) : host;
  return address === "" || address === "unknown" ? undefined : address;
}

export const isName = (name: string): boolean => name !== "" && name.length <= 253 && !name.includes("/");
