/** Tells people whose app ignores $PORT what is wrong, in a condition of the pod. */

export const appListeningType = "swell.dev/AppListening";

/** From the start of the process to the first look. */
export const firstLookMs = 3000;
export const maxLookMs = 30_000;

/**
 * What to say of a container that should listen on `port` and was found listening on `ports`; undefined when it does
 * what it should.
 */
export function listeningProblem(container: string, port: number, ports: readonly number[]): string | undefined {
  if (ports.includes(port)) return undefined;
  if (ports.length === 0) return `container ${container} runs but does not listen on $PORT`;
  const where = ports.length === 1 ? `port ${ports[0]}` : `ports ${ports.join(", ")}`;
  return `container ${container} listens on ${where}, not on $PORT (PORT=${port} here); make it listen on $PORT`;
}
