/** The stats stream: `Stats.Pod` of proto/stats.proto. */
import type { PodHello } from "../proto/gen/stats.ts";
import { openGrpcStream } from "./grpc-stream.ts";
import { decodeDirective, encodeHello, encodeLoad } from "./stats-messages.ts";
import type { OpenStream, PodStateName } from "./stats-reporter.ts";

/** `PodState`. */
const states = { starting: 1, ready: 2, "not-ready": 3, draining: 4 } as const satisfies Record<PodStateName, number>;

/**
 * `localAddress`: the address to connect from. The autoscaler takes the stream's peer for the pod's address, and where
 * all pods share one network the system would choose another.
 */
export function podStreams(hello: PodHello, localAddress: string | undefined): OpenStream {
  const path = "/swell.stats.v1.Stats/Pod";
  return (host, port, events) => {
    const stream = openGrpcStream(
      { host, port, localAddress, path },
      {
        onMessage(message) {
          const { acknowledged, owner } = decodeDirective(message);
          if (owner === undefined) events.onAcknowledged(acknowledged);
          else events.onOwner(owner);
        },
        onDrain: events.onDrain,
        onEnd: events.onEnd,
      },
    );
    stream.send(encodeHello(hello));
    return {
      send: (sequence, state, load) => stream.send(encodeLoad({ sequence, state: states[state], load })),
      close: () => stream.close(),
    };
  };
}
