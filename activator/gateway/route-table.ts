/**
 * KIngress objects → where a request goes (data-plane 3.2). Built whole from all of them and never changed, so that a
 * request sees either the old routes or the new ones.
 */
import { anyHost, claimedHosts, hostName, settleClaims } from "../../api/ingress-claims.ts";
import { ingressHash } from "../../api/ingress-hash.ts";
import { keyOf } from "../../api/meta.ts";
import type { IngressPath, IngressSplit, KIngress } from "../../api/networking.ts";
import type { HeaderList } from "../../proxy/headers.ts";

/** Which door the request came through. */
export type Door = "public" | "internal";

export type RevisionTarget = { is: "revision"; namespace: string; name: string };
export type ServiceTarget = { is: "service"; namespace: string; name: string; port: number | string };
export type Target = RevisionTarget | ServiceTarget;

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

export interface SecretName {
  namespace: string;
  name: string;
}

export interface RouteTable {
  /** `target` as in the request line; the first route that matches, or undefined. */
  find(door: Door, host: string, target: string, headers: HeaderList): Route | undefined;
  /** Some route of the host, whatever its path. */
  anyOf(door: Door, host: string): Route | undefined;
  /** Every backend that is not a revision. */
  services(): { namespace: string; name: string }[];
  /** The Secret with the certificate of a host; that of {@link anyHost} is for those that nobody names. */
  readonly certificates: ReadonlyMap<string, SecretName>;
  /** Hosts that are served at the internal door. */
  hasHost(host: string): boolean;
  readonly size: number;
}

/** Routes of one ingress, by host, in order of precedence. */
export interface CompiledIngress {
  public: ReadonlyMap<string, readonly Route[]>;
  /** Everything, public hosts included. */
  internal: ReadonlyMap<string, readonly Route[]>;
  targets: readonly Target[];
  certificates: ReadonlyMap<string, SecretName>;
}

/** An unchanged object is the same object: its routes are made once. */
const compiled = new WeakMap<KIngress, CompiledIngress>();

export function compiledIngress(ingress: KIngress): CompiledIngress {
  let routes = compiled.get(ingress);
  if (routes === undefined) {
    routes = compile(ingress);
    compiled.set(ingress, routes);
  }
  return routes;
}

export function routeTable(ingresses: Iterable<KIngress>): RouteTable {
  const doors: Record<Door, Map<string, readonly Route[]>> = { public: new Map(), internal: new Map() };
  const services = new Map<string, { namespace: string; name: string }>();
  const certificates = new Map<string, SecretName>();
  for (const ingress of settleClaims(ingresses).accepted) {
    const routes = compiledIngress(ingress);
    for (const [host, hostRoutes] of routes.internal) doors.internal.set(host, hostRoutes);
    for (const [host, hostRoutes] of routes.public) doors.public.set(host, hostRoutes);
    for (const target of routes.targets)
      if (target.is === "service") services.set(`${target.namespace}/${target.name}`, target);
    for (const [host, secret] of routes.certificates) certificates.set(host, secret);
  }
  const routesOf = (door: Door, host: string): readonly Route[] | undefined =>
    doors[door].get(hostName(host)) ?? doors[door].get(anyHost);
  return {
    find: (door, host, target, headers) => routesOf(door, host)?.find((route) => matches(route, target, headers)),
    anyOf: (door, host) => routesOf(door, host)?.[0],
    services: () => [...services.values()],
    certificates,
    hasHost: (host) => doors.internal.has(hostName(host)),
    size: doors.internal.size,
  };
}

/** A draw from 0 (included) to 1 decides; splits of 0 percent get none. */
export function pickSplit(route: Route, random: number): RouteSplit | undefined {
  const draw = random * 100;
  return route.splits.find(({ upTo }) => draw < upTo) ?? route.splits.at(-1);
}

function matches({ prefix, headers: wanted }: Route, target: string, headers: HeaderList): boolean {
  if (prefix !== "" && !pathOf(target).startsWith(prefix)) return false;
  return wanted.every(([name, exact]) => headers.get(name) === exact);
}

function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

function compile(ingress: KIngress): CompiledIngress {
  const hash = ingressHash(ingress);
  const key = keyOf(ingress);
  const doors = { public: new Map<string, Route[]>(), internal: new Map<string, Route[]>() };
  const targets: Target[] = [];
  for (const { hosts = [], visibility, http } of ingress.spec.rules ?? []) {
    const isPublic = visibility !== "ClusterLocal";
    const redirect = isPublic && ingress.spec.httpOption === "Redirected";
    const routes = http.paths.map((path) => makeRoute(path, { ingress: key, hash, redirect }));
    for (const { splits } of routes) targets.push(...splits.map(({ target }) => target));
    for (const host of hosts.length === 0 ? [anyHost] : hosts.map(hostName)) {
      append(doors.internal, host, routes);
      if (isPublic) append(doors.public, host, routes);
    }
  }
  for (const door of [doors.public, doors.internal]) for (const routes of door.values()) routes.sort(byPrecedence);
  return { ...doors, targets, certificates: certificatesOf(ingress) };
}

/** Only for hosts that the ingress has claimed: nobody answers with a certificate of his own for somebody else's. */
function certificatesOf(ingress: KIngress): Map<string, SecretName> {
  const certificates = new Map<string, SecretName>();
  const { tls = [] } = ingress.spec;
  if (tls.length === 0) return certificates;
  for (const host of claimedHosts(ingress)) {
    const wildcard = host.replace(/^[^.]+/, "*");
    const naming = (wanted: string) => tls.find(({ hosts = [] }) => hosts.some((each) => hostName(each) === wanted));
    const entry = naming(host) ?? naming(wildcard) ?? tls.find(({ hosts = [] }) => hosts.length === 0);
    if (entry !== undefined) certificates.set(host, { namespace: entry.secretNamespace, name: entry.secretName });
  }
  return certificates;
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
