/** Traffic as arrivals, made from a seed: every generator is a rate over time, a service time, and a spread. */
import { createRandom, type Random } from "./random.ts";

/** Open loop: requests come whether or not earlier ones were answered. */
export interface Workload {
  name: string;
  durationMs: number;
  /** Milliseconds from the start, ascending. */
  arrivalMs: Float64Array;
  /** How long a pod works on each. */
  serviceMs: Float64Array;
}

export interface GeneratorOptions {
  seed: number;
  /** Default: the generator's own. */
  durationMs?: number;
  /** Multiplies every rate. */
  scale?: number;
  /** Mean service time. */
  serviceMs?: number;
}

interface Generator {
  description: string;
  durationMs: number;
  /** Requests per second, `second` seconds from the start. Called once per second. */
  rate: (second: number, random: Random, durationS: number) => number;
  serviceMs: number;
  /** Deviation of the logarithm of the service time; 0 = always the same. */
  serviceSigma: number;
  /** Evenly spaced instead of at random. */
  even?: boolean;
}

const minute = 60;
const hour = 3600;

export const generators: Readonly<Record<string, Generator>> = {
  constant: {
    description: "100 requests a second, evenly spaced, all of the same length",
    durationMs: 10 * minute * 1000,
    rate: () => 100,
    serviceMs: 200,
    serviceSigma: 0,
    even: true,
  },
  steady: {
    description: "100 requests a second at random moments (Poisson)",
    durationMs: 30 * minute * 1000,
    rate: () => 100,
    serviceMs: 200,
    serviceSigma: 0.5,
  },
  step: {
    description: "25 requests a second, 250 for two minutes, 25 again",
    durationMs: 10 * minute * 1000,
    rate: (second) => (second >= 180 && second < 300 ? 250 : 25),
    serviceMs: 200,
    serviceSigma: 0.5,
  },
  spike: {
    description: "25 requests a second and once 250 for five seconds",
    durationMs: 6 * minute * 1000,
    rate: (second) => (second >= 180 && second < 185 ? 250 : 25),
    serviceMs: 200,
    serviceSigma: 0.5,
  },
  ramp: {
    description: "from 0 to 300 requests a second in ten minutes, and back",
    durationMs: 20 * minute * 1000,
    rate: (second, _random, durationS) => 300 * Math.max(0, 1 - Math.abs((2 * second) / durationS - 1)),
    serviceMs: 200,
    serviceSigma: 0.5,
  },
  diurnal: {
    description: "a day: 2 requests a second at night, 40 at noon",
    durationMs: 24 * hour * 1000,
    rate: (second) => 21 - 19 * Math.cos((2 * Math.PI * second) / (24 * hour)),
    serviceMs: 200,
    serviceSigma: 0.7,
  },
  sporadic: {
    description: "single requests and handfuls, minutes of silence between them",
    durationMs: 2 * hour * 1000,
    rate: sporadicRate(),
    serviceMs: 400,
    serviceSigma: 0.7,
  },
  bursty: {
    description: "a low hum with bursts of random height and length, most functions of the public traces look like it",
    durationMs: 2 * hour * 1000,
    rate: burstyRate(),
    serviceMs: 300,
    serviceSigma: 1,
  },
};

/** A burst of one second, then silence whose length has a long tail. */
function sporadicRate(): Generator["rate"] {
  let next = 20;
  return (second, random) => {
    if (second === 0) next = 20;
    if (second < next) return 0;
    next = second + 1 + Math.round(45 * random.logNormal(1.2));
    return random.next() < 0.7 ? 1 : 2 + 20 * random.next();
  };
}

/** Bursts start about every 90 s, last seconds to a minute, and their heights have a long tail. */
function burstyRate(): Generator["rate"] {
  let burst = { untilS: 0, rate: 0 };
  return (second, random) => {
    if (second === 0) burst = { untilS: 0, rate: 0 };
    if (second >= burst.untilS && random.next() < 1 / 90)
      burst = { untilS: second + 2 + 12 * random.logNormal(1), rate: Math.min(300, 40 * random.logNormal(0.9)) };
    return second < burst.untilS ? burst.rate : 3;
  };
}

/** Throws a RangeError for a name that no generator has. */
export function generate(name: string, options: GeneratorOptions): Workload {
  const generator = generators[name];
  if (generator === undefined)
    throw new RangeError(`no generator ${JSON.stringify(name)}: want one of ${Object.keys(generators).join(", ")}`);
  const { scale = 1, serviceMs = generator.serviceMs, durationMs = generator.durationMs } = options;
  const random = createRandom(options.seed);
  const arrivals: number[] = [];
  const durationS = durationMs / 1000;
  // The whole part of what has come about is a request: works for rates that change within a gap.
  let [due, threshold] = [0, generator.even === true ? 1 : random.exponential()];
  for (let second = 0; second < durationS; second++) {
    const rate = generator.rate(second, random, durationS) * scale;
    let from = 0;
    // Without a rate nothing comes due.
    while (due + rate * (1 - from) >= threshold) {
      from += (threshold - due) / rate;
      due = threshold;
      arrivals.push((second + from) * 1000);
      threshold += generator.even === true ? 1 : random.exponential();
    }
    due += rate * (1 - from);
  }
  const sigma = generator.serviceSigma;
  // A log-normal of median m has the mean m·exp(σ²/2).
  const median = serviceMs / Math.exp((sigma * sigma) / 2);
  const serviceTimes = Float64Array.from(arrivals, () => Math.max(1, median * random.logNormal(sigma)));
  return { name, durationMs, arrivalMs: Float64Array.from(arrivals), serviceMs: serviceTimes };
}

/** Pods that the first seconds ask for; none where nothing comes in them. */
export function fittingPods({ arrivalMs, serviceMs }: Workload, target: number): number {
  let workMs = 0;
  for (let index = 0; index < arrivalMs.length && arrivalMs[index]! < fittingMs; index++) workMs += serviceMs[index]!;
  return Math.ceil(workMs / fittingMs / target);
}

const fittingMs = 10_000;
