/** Repeats one probe of a running container and tells what its results mean. */
import type { Probe } from "../../api/core.ts";
import { pause } from "../../kube/back-off.ts";
import { afterProbe, initialProbeState, nextProbeInMs, probeSettings, type ProbeKind } from "./probe-state.ts";
import { runProbe, type ProbeTarget } from "./probes.ts";

export interface ProbeLoopOptions {
  kind: ProbeKind;
  probe: Probe;
  target: ProbeTarget;
  onVerdict: (verdict: "success" | "failure") => void;
  /** A failure that counts, for the event. */
  onFailure: (message: string) => void;
}

/** Runs until the signal aborts; a startup probe until it succeeded. Never rejects. */
export async function probeLoop(options: ProbeLoopOptions, signal: AbortSignal): Promise<void> {
  const { kind, probe, target, onVerdict, onFailure } = options;
  const settings = probeSettings(probe);
  await pause(settings.initialDelayMs, signal);
  let state = initialProbeState(kind, Date.now());
  while (!signal.aborted) {
    const startedMs = performance.now();
    const { success, message } = await runProbe(probe, target, settings.timeoutMs);
    if (signal.aborted) return;
    const before = state.verdict;
    const after = afterProbe(state, success, kind, settings, Date.now());
    ({ state } = after);
    if (!success && after.counted) onFailure(message);
    if (state.verdict !== before && state.verdict !== "unknown") onVerdict(state.verdict);
    if (kind === "startup" && state.verdict !== "unknown") return;
    await pause(Math.max(1, nextProbeInMs(kind, state, settings) - (performance.now() - startedMs)), signal);
  }
}
