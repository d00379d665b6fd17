/** For tests: backends with names, and the expectations that several of Knative's conformance tests share. */
import type { Test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { coreService, fakePod, toService, type Answer } from "../fixture.ts";

export type Objects = [string, KubeObject][];

/** Core Services named like their pods. */
export async function backends(t: Test, ...names: string[]): Promise<Objects> {
  const objects = await Promise.all(names.map(async (name) => coreService(name, [(await fakePod(t, name)).port])));
  return objects.flat();
}

export const headersOf = ({ body }: Answer): Record<string, string> => JSON.parse(body) as Record<string, string>;
export const servedBy = ({ status, headers }: Answer): string =>
  status === 200 ? String(headers["x-pod"]) : String(status);

function counted(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

const dispatch = { paths: ["foo", "bar", "baz"].map((name) => ({ path: `/${name}`, splits: [toService(name)] })) };
export const pathRule = (hosts: string[], extra: object = {}): object => ({
  rules: [{ hosts, http: { paths: [{ splits: [toService("rest")] }, ...dispatch.paths] }, ...extra }],
});
export const byPath = [
  ["/foo", "foo"],
  ["/bar", "bar"],
  ["/baz", "baz"],
  ["/", "rest"],
  ["/asdf", "rest"],
  ["/foo/deeper?x=/bar", "foo"],
] as const;

export const percentages = { a: 1, b: 2, c: 4, d: 8, e: 16, f: 32, g: 37, h: 0, i: 0, j: 0 };

export function checkShares(
  t: Test,
  answers: readonly Answer[],
  shares: Record<string, number>,
  tolerance: number,
): void {
  const counts = counted(answers.map(servedBy));
  for (const [name, percent] of Object.entries(shares)) {
    const got = ((counts[name] ?? 0) / answers.length) * 100;
    const within = percent === 0 ? got === 0 : Math.abs(got - percent) <= tolerance;
    t.ok(within, `${name}: ${got} % for ${percent} %`);
  }
}
