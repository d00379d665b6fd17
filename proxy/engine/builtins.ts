/**
 * Node's own HTTP modules, taken without `import`: an import of "node:http" reads every export of it, and the getters
 * among them load a whole fetch implementation (30 ms and 14 MiB of a process that starts in every pod). HTTP/2 and TLS
 * are loaded by the first connection that speaks them.
 */
export const http = process.getBuiltinModule("node:http");

export const http2 = (): typeof import("node:http2") => process.getBuiltinModule("node:http2");

export const tls = (): typeof import("node:tls") => process.getBuiltinModule("node:tls");

/** Error codes of RFC 9113 7. */
export const http2Code = { noError: 0x0, refusedStream: 0x7, cancel: 0x8 } as const;
