/**
 * KIngress objects → where a request goes (data-plane 3.2). Built whole from all of them and never changed, so that a
 * request sees either the old routes or the new ones.
 */
import { ingressHash } from "../../api/ingress-hash.ts";
import { annotation } from "../../api/keys.ts";
import { keyOf } from "../../api/meta.ts";
import { swellIngressClass, type IngressPath, type IngressSplit, type KIngress } from "../../api/networking.ts";
import type { HeaderList } from "../../proxy/headers.ts";

/** Which door the request came through. */
export type Door = "public" | "internal";

export type Target =
  | { is: "revision"; namespace: string; name: string }
  | { is: "service"; namespace: string; name: string; port: number | string };

export interface RouteSplit {
  /** Of a draw from 0 to 100, this split gets what is below it and not below the one before. */
  upTo: number;
  target: Target;
  /** To be set, replacing what the client sent. */
  headers: readonly (readonly [name: string, value: string])[];
}

export interface Route {
  ingress: string;
  hash: string;
  prefix: string;
  headers: readonly (readonly [name: string, exact: string])[];
  rewriteHost: string | undefined;
  /** Plain HTTP at the public door is sent to https. */
  redirect: boolean;
  splits: readonly RouteSplit[];
}

export interface RouteTable {
  /** `target` as in the request line; the first route that matches, or undefined. */
  find(door: Door, host: string, target: string, headers: HeaderList): Route | undefined;
  /** Some route of the host, whatever its path: a probe asks for the host alone. */
  anyOf(door: Door, host: string): Route | undefined;
  /** Every backend that is not a revision. */
  services(): { namespace: string; name: string }[];
  /** Hosts that are served at the internal door. */
  hasHost(host: string): boolean;
  readonly size: number;
}

/** A host that several ingresses claim belongs to the one created first, then by name (data-plane 3.2.12). */
export const byAge = (a: KIngress, b: KIngress): number =>
  compare(a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? "") || compare(keyOf(a), keyOf(b));

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const isOurs = ({ metadata }: KIngress): boolean =>
  metadata.annotations?.[annotation.ingressClass] === swellIngressClass;

/** Matches any host. */
const anyHost = "*";

/** Routes of one ingress by host, in order of precedence. */
interface Compiled {
  public: ReadonlyMap<string, readonly Route[]>;
  /** Everything, public hosts included. */
  internal: ReadonlyMap<string, readonly Route[]>;
}

/** An unchanged object is the same object: its routes are made once. */
const compiled = new WeakMap<KIngress, Compiled>();

export function routeTable(ingresses: Iterable<KIngress>): RouteTable {
  const doors: Record<Door, Map<string, readonly Route[]>> = { public: new Map(), internal: new Map() };
  const services = new Map<string, { namespace: string; name: string }>();
  const ours = [...ingresses].filter((ingress) => isOurs(ingress) && ingress.metadata.deletionTimestamp === undefined);
  for (const ingress of ours.sort(byAge)) {
    let routes = compiled.get(ingress);
    if (routes === undefined) {
      routes = compile(ingress);
      compiled.set(ingress, routes);
    }
    for (const [host, hostRoutes] of routes.internal) {
      if (doors.internal.has(host)) continue;
      doors.internal.set(host, hostRoutes);
      const outside = routes.public.get(host);
      if (outside !== undefined) doors.public.set(host, outside);
      for (const { target } of hostRoutes.flatMap(({ splits }) => splits))
        if (target.is === "service") services.set(`${target.namespace}/${target.name}`, target);
    }
  }
  const routesOf = (door: Door, host: string): readonly Route[] | undefined =>
    doors[door].get(hostName(host)) ?? doors[door].get(anyHost);
  return {
    find: (door, host, target, headers) => routesOf(door, host)?.find((route) => matches(route, target, headers)),
    anyOf: (door, host) => routesOf(door, host)?.[0],
    services: () => [...services.values()],
    hasHost: (host) => doors.internal.has(hostName(host)),
    size: doors.internal.size,
  };
}

/** A draw from 0 (included) to 1 decides; splits of 0 percent get none. */
export function pickSplit(route: Route, random: number): RouteSplit | undefined {
  const draw = random * 100;
  return route.splits.find(({ upTo }) => draw < upTo) ?? route.splits.at(-1);
}

/** Lower case, without port and final dot. */
export function hostName(host: string): string {
  const end = host.startsWith("[") ? host.indexOf("]") + 1 : host.indexOf(":");
  const name = end > 0 ? host.slice(0, end) : host;
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}

function matches({ prefix, headers: wanted }: Route, target: string, headers: HeaderList): boolean {
  if (prefix !== "" && !pathOf(target).startsWith(prefix)) return false;
  return wanted.every(([name, exact]) => headers.get(name) === exact);
}

function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

function compile(ingress: KIngress): Compiled {
  const hash = ingressHash(ingress);
  const key = keyOf(ingress);
  const doors = { public: new Map<string, Route[]>(), internal: new Map<string, Route[]>() };
  for (const { hosts = [], visibility, http } of ingress.spec.rules ?? []) {
    const isPublic = visibility !== "ClusterLocal";
    const redirect = isPublic && ingress.spec.httpOption === "Redirected";
    const routes = http.paths.map((path) => makeRoute(path, { ingress: key, hash, redirect }));
    for (const host of hosts.length === 0 ? [anyHost] : hosts.map(hostName)) {
      append(doors.internal, host, routes);
      if (isPublic) append(doors.public, host, routes);
    }
  }
  for (const door of [doors.public, doors.internal]) for (const routes of door.values()) routes.sort(byPrecedence);
  return doors;
}

function append(hosts: Map<string, Route[]>, host: string, routes: readonly Route[]): void {
  const known = hosts.get(host);
  if (known === undefined) hosts.set(host, [...routes]);
  else known.push(...routes);
}

/** The longest prefix first; with header matches before without; else as written. */
const byPrecedence = (a: Route, b: Route): number =>
  b.prefix.length - a.prefix.length || Number(b.headers.length > 0) - Number(a.headers.length > 0);

function makeRoute(
  { path = "", headers = {}, rewriteHost, splits, appendHeaders = {} }: IngressPath,
  common: Pick<Route, "ingress" | "hash" | "redirect">,
): Route {
  let upTo = 0;
  const isOnly = splits.length === 1;
  return {
    ...common,
    prefix: path,
    headers: Object.entries(headers).map(([name, { exact }]) => [name, exact] as const),
    rewriteHost: rewriteHost === "" ? undefined : rewriteHost,
    splits: splits
      .filter(({ percent = 0 }) => isOnly || percent > 0)
      .map((split) => {
        upTo += isOnly ? 100 : (split.percent ?? 0);
        const setHeaders = { ...appendHeaders, ...split.appendHeaders };
        return { upTo, target: targetOf(split, setHeaders), headers: Object.entries(setHeaders) };
      }),
  };
}

/** A split that names its revision goes to the revision's pods without a detour through its Service. */
function targetOf(split: IngressSplit, headers: Readonly<Record<string, string>>): Target {
  const name = headers["Knative-Serving-Revision"];
  const namespace = headers["Knative-Serving-Namespace"];
  if (name !== undefined && namespace !== undefined) return { is: "revision", namespace, name };
  return { is: "service", namespace: split.serviceNamespace, name: split.serviceName, port: split.servicePort };
}
