/**
 * The differential test against llhttp, as long as you like: `fuzz.ts --cases 1000000 [--seed N]`. A failure prints the
 * smallest octets that show it, and the seed that finds them again.
 */
import { parseArgs } from "node:util";
import * as fc from "fast-check";
import { requestDifference, responseDifference } from "./corpus/differential.ts";
import { answeredRequests, cuts, requests, responseOctets } from "./corpus/generator.ts";

const batch = 1000;

/** Half of the cases are requests, half are responses. Rejects with fast-check's report at the first difference. */
export async function fuzz(options: {
  cases: number;
  seed: number;
  onProgress?: (done: number) => void;
}): Promise<void> {
  const ofRequests = fc.property(requests, cuts, (octets, cuts) => agree(requestDifference(octets, cuts)));
  const ofResponses = fc.asyncProperty(responseOctets, answeredRequests, cuts, async (octets, request, cuts) =>
    agree(await responseDifference(octets, request, cuts)),
  );
  for (let done = 0, seed = options.seed; done < options.cases; seed += 1) {
    const numRuns = Math.ceil(Math.min(batch, (options.cases - done) / 2));
    fc.assert(ofRequests, { numRuns, seed });
    await fc.assert(ofResponses, { numRuns, seed });
    done += 2 * numRuns;
    options.onProgress?.(done);
    // node:http leaves work for later turns of the loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function agree(difference: string | undefined): void {
  if (difference !== undefined) throw new Error(difference);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { cases: { type: "string", default: "1000000" }, seed: { type: "string" } },
  });
  const cases = Number(values.cases);
  const seed = values.seed === undefined ? Date.now() % 0x7fff_ffff : Number(values.seed);
  process.stdout.write(`${cases} cases from seed ${seed}\n`);
  const startedMs = performance.now();
  await fuzz({
    cases,
    seed,
    onProgress: (done) => {
      if (done % 100_000 < 2 * batch)
        process.stdout.write(
          `${done} without a difference, ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`,
        );
    },
  });
}
