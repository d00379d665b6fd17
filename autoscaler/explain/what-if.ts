/** What a decision would have been with a little more or less load: the same function, asked again. */
import { decisionOf } from "../decide-smooth.ts";
import type { Decision } from "../decide.ts";
import type { DecisionRecord } from "../decision-log.ts";

export interface Alternative {
  /** Added to both averages, in units of the metric; below 0 for less. */
  load: number;
  pods: number;
  panicking: boolean;
}

export interface WhatIf {
  /** With the target load of one pod more, and less. */
  podMore: Alternative;
  podLess: Alternative;
  /** The smallest changes of load that change the result; absent where none does. */
  rise?: Alternative;
  fall?: Alternative;
}

/** The averages are kept to this. */
const precision = 1e-6;
/** Loads beyond this many times the present one change nothing that would interest anybody. */
const mostDoublings = 40;

type Given = NonNullable<DecisionRecord["given"]>;

/** The decision of a record, made once more. Undefined where nothing was decided. */
export function replay({ given, atMs }: Pick<DecisionRecord, "given" | "atMs">, load = 0): Decision | undefined {
  return given === undefined ? undefined : decideWith(given, atMs, load);
}

/** Undefined where nothing was decided. */
export function whatIf({ given, atMs }: Pick<DecisionRecord, "given" | "atMs">): WhatIf | undefined {
  if (given === undefined) return undefined;
  const { target } = given.spec;
  const now = decideWith(given, atMs, 0).desiredPods;
  const at = (load: number): Alternative => {
    const { desiredPods, state } = decideWith(given, atMs, load);
    return { load, pods: desiredPods, panicking: state.mode.is === "panic" };
  };
  const differs = (load: number): boolean => at(load).pods !== now;

  let most = target;
  for (let doubling = 0; doubling < mostDoublings && !differs(most); doubling++) most *= 2;
  const rise = differs(most) ? at(smallest(most, differs)) : undefined;
  const all = Math.max(given.seen.stable, given.seen.panic);
  const fall = all > 0 && differs(-all) ? at(smallest(-all, differs)) : undefined;
  return {
    podMore: at(target),
    podLess: at(-Math.min(target, all)),
    ...(rise === undefined ? {} : { rise }),
    ...(fall === undefined ? {} : { fall }),
  };
}

function decideWith({ mode, spec, seen, state }: Given, atMs: number, load: number): Decision {
  const stable = Math.max(0, seen.stable + load);
  const panic = Math.max(0, seen.panic + load);
  return decisionOf[mode](spec, { ...seen, stable, panic }, state, atMs);
}

/** Between 0, which does not hold, and `enough`, which does; more load never asks for fewer pods. */
function smallest(enough: number, holds: (load: number) => boolean): number {
  let [low, high] = [0, enough];
  while (Math.abs(high - low) > precision) {
    const middle = (low + high) / 2;
    // Doubles end here, however large the load.
    if (middle === low || middle === high) break;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
