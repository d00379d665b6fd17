/** A certificate and its key in files that somebody else may replace at any time. */
import path from "node:path";
import type { Log } from "./log.ts";

export interface TlsPair {
  cert: Buffer;
  key: Buffer;
}

export interface TlsPairFiles {
  readonly current: TlsPair;
  stop(): void;
}

/** Knative's, and enough where no file system events come. */
const checkEveryMs = 60_000;
/** A replacement takes several steps (files, then a link to their folder). */
const settleMs = 100;

/**
 * Undefined when one of the files is not there. Later a pair that cannot be read, or whose halves do not belong
 * together, is ignored with a warning and the last one stays.
 */
export function watchTlsPair(
  files: { cert: string; key: string },
  log: Log,
  onChange: (pair: TlsPair) => void,
): TlsPairFiles | undefined {
  const fs = process.getBuiltinModule("node:fs");
  const read = (): TlsPair => ({ cert: fs.readFileSync(files.cert), key: fs.readFileSync(files.key) });
  let current: TlsPair;
  try {
    current = read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const check = (): void => {
    try {
      const next = read();
      if (next.cert.equals(current.cert) && next.key.equals(current.key)) return;
      // Throws for halves that do not belong together, which is what the middle of a replacement looks like.
      process.getBuiltinModule("node:tls").createSecureContext(next);
      current = next;
      onChange(next);
      log.info("the certificate was renewed");
    } catch (error) {
      log.warn({ err: error }, "the new certificate cannot be used; the last one stays");
    }
  };
  let settling: NodeJS.Timeout | undefined;
  const watchers = [...new Set([files.cert, files.key].map((file) => path.dirname(file)))].flatMap((folder) => {
    try {
      const watcher = fs.watch(folder, { persistent: false }, () => {
        clearTimeout(settling);
        settling = setTimeout(check, settleMs).unref();
      });
      watcher.on("error", (error) => log.debug({ err: error }, `${folder} is not watched any more`));
      return [watcher];
    } catch (error) {
      log.debug({ err: error }, `${folder} cannot be watched`);
      return [];
    }
  });
  const timer = setInterval(check, checkEveryMs).unref();
  return {
    get current() {
      return current;
    },
    stop() {
      clearInterval(timer);
      clearTimeout(settling);
      for (const watcher of watchers) watcher.close();
    },
  };
}
