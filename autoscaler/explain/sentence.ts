/** Decisions as sentences for the people who run the platform. Pure: times are put into words by the caller's clock. */
import type { Cause } from "../decision-log.ts";
import type { Explained } from "./explained.ts";
import type { Limit, LimitName } from "./limits.ts";

/** A time of day, in the reader's zone. */
export type Clock = (ms: number) => string;

const causes: Readonly<Record<Cause, string>> = {
  tick: "",
  load: "looked at because the load rose",
  pods: "looked at because a pod came or went",
  spec: "looked at because the settings changed",
};

/** One decision: result, load, what bound it, and what became of it. */
export function sentence(record: Explained, clock: Clock): string {
  const parts = [`${headline(record, clock)}: ${load(record)}${panic(record, clock)}`];
  for (const limit of record.limits) parts.push(limitText(record, limit));
  if (record.reactionMs !== undefined)
    parts.push(`decided ${Math.round(record.reactionMs)} ms after the load was seen`);
  if (causes[record.cause] !== "" && record.fromPods !== record.desiredPods) parts.push(causes[record.cause]);
  return parts.join("; ");
}

/** What a little more or less load would have changed. */
export function whatIfSentence({ whatIf, desiredPods, inputs, bounds }: Explained): string {
  if (whatIf === undefined) return "";
  const { rise, fall } = whatIf;
  const up =
    rise === undefined
      ? "no rise in load would change it"
      : `${rise.load < negligible ? "any load more" : `${amount(rise.load)} more ${unitOf(inputs.metric, rise.load)}`} and it is ${pods(rise.pods)}${rise.panicking ? " (panic)" : ""}`;
  const down =
    fall === undefined
      ? inputs.stable === 0 && inputs.panic === 0
        ? ""
        : "no fall in load would change it"
      : `${amount(-fall.load)} fewer and it is ${pods(fall.pods)}`;
  const bound = bounds.max > 0 && desiredPods >= bounds.max ? `, but max-scale is ${bounds.max}` : "";
  return [up + bound, down].filter((text) => text !== "").join("; ");
}

function headline({ desiredPods, fromPods, sinceMs, atMs, times }: Explained, clock: Clock): string {
  const when = times > 1 ? `${clock(sinceMs)} to ${clock(atMs)}` : clock(atMs);
  if (desiredPods < 0) return `${when} knew nothing to decide on`;
  if (fromPods < 0) return `${when} wanted ${pods(desiredPods)}, the first decision`;
  if (desiredPods === fromPods) return `${when} wanted ${pods(desiredPods)}, as before`;
  return `${when} wanted ${pods(desiredPods)}, ${desiredPods > fromPods ? "up" : "down"} from ${fromPods}`;
}

/** The average that counted, and what it was compared with. */
function load({ inputs, terms, given, panicking, windows }: Explained): string {
  const { metric, stable, panic, held, inFlight, readyPods } = inputs;
  if (terms === undefined || given === undefined)
    return `${amount(inFlight)} requests in flight now and no averages yet`;
  const { target, total } = given.spec;
  const percent = Math.round((target / total) * 100);
  const compared = `against ${amount(target)} per pod (target ${amount(total)} × ${percent} %)`;
  const usesPanic = (panicking || terms.overThreshold) && terms.panicPods > terms.stablePods;
  const value = usesPanic ? panic : stable;
  if (held > 0 && held === value)
    return readyPods === 0
      ? `${amount(value)} requests are held and no pod is ready, ${compared}`
      : `${amount(value)} ${unitOf(metric, value)} at this moment, ${compared}`;
  if (value === 0) return `no load over the last ${seconds(windows.stableMs)}`;
  return `${amount(value)} ${unitOf(metric, value)} on average over the last ${seconds(usesPanic ? windows.panicMs : windows.stableMs)} ${compared}`;
}

function panic({ panicking, panickingSinceMs, terms, given, inputs }: Explained, clock: Clock): string {
  if (!panicking || terms === undefined || given === undefined) return "";
  const since = panickingSinceMs === undefined ? "" : ` since ${clock(panickingSinceMs)}`;
  const ready = Math.max(1, inputs.readyPods);
  if (terms.overThreshold) {
    const asked =
      given.mode === "smooth" ? "the load is more than they can take" : `${pods(terms.panicPods)} asked for`;
    return `, panicking${since} (${pods(inputs.readyPods)} ready, ${asked}; the threshold is ${amount(given.spec.panicThreshold * 100)} % of ${ready})`;
  }
  const lastMs = given.state.mode.is === "panic" ? given.state.mode.sinceMs : undefined;
  const ends =
    lastMs === undefined ? "" : `, until ${clock(lastMs + given.spec.stableWindowMs)} if it does not surge again`;
  return `, panicking${since}${ends}`;
}

function limitText({ given, because, bounds }: Explained, { name, pods: count }: Limit): string {
  const spec = given?.spec;
  const peak =
    given?.mode === "smooth"
      ? `${count} because a recent peak is let go slowly`
      : `held at the peak of ${count} by panic`;
  const texts: Readonly<Record<LimitName, string>> = {
    "no-data": because,
    "max-scale-up-rate": `held at ${count} by max-scale-up-rate ${amount(spec?.maxScaleUpRate ?? 0)} over the ready pods`,
    "max-scale-down-rate": `held at ${count} by max-scale-down-rate ${amount(spec?.maxScaleDownRate ?? 0)}`,
    "activation-scale": `raised to ${count} by activation-scale`,
    "surge-headroom": `${count} because a surge is still growing when it is seen`,
    "panic-peak": peak,
    boundary: `${count} because the load is not clear of the boundary yet`,
    "scale-down-delay": `held at ${count} by scale-down-delay ${seconds(spec?.scaleDownDelayMs ?? 0)}`,
    "between-ticks": `stays at ${count} until the next tick`,
    kept: `kept at ${count}: ${because}`,
    "min-scale": `raised to ${bounds.min} by min-scale ${bounds.min}`,
    "max-scale": `held by max-scale ${bounds.max}`,
  };
  return texts[name];
}

/** Less than any average shows. */
const negligible = 0.0005;

const unitOf = (metric: "concurrency" | "rps", value: number): string =>
  `${value === 1 ? "request" : "requests"} ${metric === "rps" ? "a second" : "in flight"}`;
const pods = (count: number): string => `${count} ${count === 1 ? "pod" : "pods"}`;
const seconds = (ms: number): string => `${amount(ms / 1000)} s`;

/** Up to three digits after the point for small numbers, one for others. */
export function amount(value: number): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) < 1 ? 3 : 1;
  return value.toFixed(digits);
}
