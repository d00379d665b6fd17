import type { Socket } from "node:net";
import type { RequestHead } from "../exchange.ts";
import type { Framing } from "../http1/framing.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Peer, RelayedExchange } from "./relayed-exchange.ts";
import type { ClientSide } from "./sides.ts";

/** What a client's connection asks of the server. */
export interface ConnectionOwner<Connection extends ClientSide> {
  readonly deadlines: Deadlines;
  /** No further request is wanted. */
  readonly closing: boolean;
  /** Further requests are better sent on another connection. */
  readonly retiring: boolean;
  /** Of a request whose head is whole. */
  open(client: ClientSide, peer: Peer, head: RequestHead, body: Framing, upgrade: string | undefined): RelayedExchange;
  /** Hands it to its handler, which may have answered when this returns. */
  serve(exchange: RelayedExchange): void;
  /** It speaks HTTP/2 and listens no more. `bytes`: what was read of it. */
  speaksHttp2(socket: Socket, bytes: Buffer): void;
  /** It serves no requests any more. */
  gone(connection: Connection): void;
}
