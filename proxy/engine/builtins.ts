/**
 * Node's own HTTP modules, taken without `import`: an import of "node:http" reads every export of it, and the getters
 * among them load a whole fetch implementation (30 ms and 14 MiB of a process that starts in every pod). They are loaded
 * by the first connection that needs them.
 */
export const http2 = (): typeof import("node:http2") => process.getBuiltinModule("node:http2");

export const tls = (): typeof import("node:tls") => process.getBuiltinModule("node:tls");

/** Error codes of RFC 9113 7. */
export const http2Code = { noError: 0x0, refusedStream: 0x7, cancel: 0x8 } as const;

/** `Not Found` for 404, empty for a status without a name. */
export function reasonPhrase(status: number): string {
  return process.getBuiltinModule("node:http").STATUS_CODES[status] ?? "";
}
