/**
 * Port 8008: CPU and heap profiles of this process at the paths of Go's pprof, in V8's formats, which Chrome's and
 * VS Code's tools open. Loads its inspector at the first request.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Session } from "node:inspector/promises";

const maxSeconds = 300;
const defaultCpuSeconds = 30;
const defaultHeapSeconds = 10;

const index = `profiles of this process, in V8's formats:
/debug/pprof/profile?seconds=${defaultCpuSeconds}  CPU profile (.cpuprofile)
/debug/pprof/heap?seconds=${defaultHeapSeconds}     sampled allocations that are still alive (.heapprofile)
/debug/pprof/cmdline            the command line
`;

export function profilesListener(signal: AbortSignal): RequestListener {
  let busy = false;
  const profile = async (response: ServerResponse, name: string, take: (session: Session) => Promise<unknown>) => {
    if (busy) {
      response.writeHead(500, { "Content-Type": "text/plain" }).end("another profile is being taken\n");
      return;
    }
    busy = true;
    const { Session } = process.getBuiltinModule("node:inspector/promises");
    const session = new Session();
    try {
      session.connect();
      const taken = JSON.stringify(await take(session));
      const disposition = `attachment; filename="${name}"`;
      response.writeHead(200, { "Content-Type": "application/json", "Content-Disposition": disposition }).end(taken);
    } catch (error) {
      response.writeHead(500, { "Content-Type": "text/plain" }).end(`no profile: ${(error as Error).message}\n`);
    } finally {
      session.disconnect();
      busy = false;
    }
  };
  return (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const seconds = (fallback: number): number => {
      const given = Number(searchParams.get("seconds") ?? fallback);
      return Number.isFinite(given) && given > 0 ? Math.min(maxSeconds, given) : fallback;
    };
    const over = (fallback: number): Promise<void> => pause(seconds(fallback) * 1000, request, signal);
    switch (pathname) {
      case "/debug/pprof/":
      case "/debug/pprof":
        response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8" }).end(index);
        return;
      case "/debug/pprof/cmdline":
        response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8" }).end(process.argv.join("\0"));
        return;
      case "/debug/pprof/profile":
        void profile(response, "queue-proxy.cpuprofile", async (session) => {
          await session.post("Profiler.enable");
          await session.post("Profiler.start");
          await over(defaultCpuSeconds);
          return (await session.post("Profiler.stop")).profile;
        });
        return;
      case "/debug/pprof/heap":
      case "/debug/pprof/allocs":
        void profile(response, "queue-proxy.heapprofile", async (session) => {
          await session.post("HeapProfiler.startSampling", {
            // Whatever was collected since its start is of interest only to `allocs`.
            includeObjectsCollectedByMajorGC: pathname.endsWith("allocs"),
            includeObjectsCollectedByMinorGC: pathname.endsWith("allocs"),
          });
          await over(defaultHeapSeconds);
          return (await session.post("HeapProfiler.stopSampling")).profile;
        });
        return;
      default:
        response.writeHead(404).end();
    }
  };
}

/** Ends early when nobody waits for the profile any more, or at `signal`. */
function pause(ms: number, request: IncomingMessage, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    request.socket.once("close", done);
  });
}
