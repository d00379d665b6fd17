/** One connection (or stream) of the generator: sends a fixed request, says when the whole answer is there. */
import type { LoadScenario } from "../scenarios.ts";
import type { Target } from "./job.ts";
import { Http1Link } from "./http1-link.ts";
import { Http2Sessions } from "./http2-link.ts";
import { WebSocketLink } from "./websocket-link.ts";

export interface Link {
  /** Resolves when the first request may be sent. */
  ready: Promise<void>;
  /** Only when nothing is under way. */
  send(): void;
  close(): void;
}

/** `false`: refused, another status, an answer of another length, or the connection broke. */
export type Done = (link: Link, succeeded: boolean) => void;

export function openLinks(target: Target, scenario: LoadScenario, done: Done): Link[] {
  const many = (make: () => Link): Link[] => Array.from({ length: scenario.connections }, make);
  switch (scenario.protocol) {
    case "http1":
    case "fresh":
      return many(() => new Http1Link(target, scenario, done));
    case "websocket":
      return many(() => new WebSocketLink(target, done));
    case "h2c":
      break;
  }
  const sessions = new Http2Sessions(target, scenario);
  return many(() => sessions.open(done));
}
