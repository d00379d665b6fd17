/** The connections to HTTP/1.1 upstreams, kept per address for the next call. */
import type { Upstream, UpstreamTls } from "../exchange.ts";
import { Deadlines } from "./deadlines.ts";
import { Http1Upstream, isRepeatable } from "./http1-upstream.ts";
import type { OutgoingCall, StartCall, UpstreamCall } from "./sides.ts";

/** As Knative's transport: idle connections are kept for 90 s. */
const idleMs = 90_000;
const sweepMs = 10_000;
/**
 * An idle connection may be closed by the app at any moment, and a request that then fails may have been processed.
 * One that must not be repeated goes out on a connection that was used this recently, or on a new one.
 */
const freshMs = 1000;

const addressOf = ({ host, port, tls }: Upstream): string =>
  tls === undefined ? `${host} ${port}` : `${host} ${port} ${tls.id}`;

export interface Http1Pool {
  call: StartCall;
  close(): void;
}

/** The connections to one address. The one that was used last is last, and is used next. */
class AddressPool {
  readonly upstream: Upstream;
  readonly idle: Http1Upstream[] = [];
  /** Idle and busy ones. */
  open = 0;

  constructor(upstream: Upstream) {
    this.upstream = { host: upstream.host, port: upstream.port, protocol: "http1", tls: upstream.tls };
  }
}

export function createHttp1Pool(maxIdle: number): Http1Pool {
  const byAddress = new Map<string, AddressPool>();
  const all = new Set<Http1Upstream>();
  const deadlines = new Deadlines();
  let closed = false;
  /** Most callers have one upstream, and nearly all repeat themselves. */
  let lastHost = "";
  let lastPort = 0;
  let lastTls: UpstreamTls | undefined;
  let last: AddressPool | undefined;

  const poolOf = (upstream: Upstream): AddressPool => {
    if (last !== undefined && lastPort === upstream.port && lastHost === upstream.host && lastTls === upstream.tls)
      return last;
    const address = addressOf(upstream);
    let pool = byAddress.get(address);
    if (pool === undefined) byAddress.set(address, (pool = new AddressPool(upstream)));
    lastHost = upstream.host;
    lastPort = upstream.port;
    lastTls = upstream.tls;
    last = pool;
    return pool;
  };
  const sweep = {
    deadlineMs: 0,
    onDeadline(): void {
      const oldestMs = performance.now() - idleMs;
      for (const { idle } of byAddress.values())
        for (const connection of idle.filter(({ freeSinceMs }) => freeSinceMs < oldestMs)) connection.close();
      if (all.size > 0 && !closed) deadlines.add(sweep, performance.now() + sweepMs);
    },
  };
  const owner = {
    freed(connection: Http1Upstream): void {
      const { idle } = poolOf(connection.upstream);
      idle.push(connection);
      // Busy ones may be as many as there are requests; of those that are not, the oldest goes.
      if (closed) connection.close();
      else if (idle.length > maxIdle) idle[0]!.close();
    },
    lost(connection: Http1Upstream): void {
      all.delete(connection);
      const pool = poolOf(connection.upstream);
      const at = pool.idle.lastIndexOf(connection);
      if (at >= 0) pool.idle.splice(at, 1);
      pool.open -= 1;
      if (pool.open > 0) return;
      byAddress.delete(addressOf(connection.upstream));
      if (last === pool) last = undefined;
    },
    again(call: OutgoingCall, from: Http1Upstream): void {
      // Others may be as stale.
      closeIdle(poolOf(from.upstream));
      call.upstreamMoved(dial(poolOf(from.upstream), call));
    },
  };
  const closeIdle = ({ idle }: AddressPool): void => {
    for (const connection of idle.slice()) connection.close();
  };
  const dial = (pool: AddressPool, call: OutgoingCall): Http1Upstream => {
    pool.open += 1;
    const connection = new Http1Upstream(pool.upstream, owner);
    all.add(connection);
    if (sweep.deadlineMs < performance.now()) deadlines.add(sweep, performance.now() + sweepMs);
    begin(connection, call);
    return connection;
  };
  const begin = (connection: Http1Upstream, call: OutgoingCall): UpstreamCall => {
    try {
      connection.start(call);
      return connection;
    } catch (error) {
      // What layers made of the head cannot be written as a request.
      connection.close();
      queueMicrotask(() => call.upstreamFailed((error as Error).message, false, error as Error));
      return connection;
    }
  };

  return {
    call(call, upstream) {
      const pool = poolOf(upstream);
      const { idle } = pool;
      const newest = idle.at(-1);
      if (newest === undefined) return dial(pool, call);
      const mayRepeat = call.body.is === "none" && isRepeatable(call.head.method);
      if (!mayRepeat && newest.freeSinceMs < performance.now() - freshMs) {
        closeIdle(pool);
        return dial(poolOf(upstream), call);
      }
      idle.pop();
      return begin(newest, call);
    },
    close() {
      closed = true;
      for (const connection of all) connection.close();
    },
  };
}
