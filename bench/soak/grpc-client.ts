/** gRPC by its usual client: unary calls, and streams that last some seconds. */
import { Client as GrpcClient, credentials, type ServiceError } from "@grpc/grpc-js";
import { body, closedLoop, deadlineMs, pause, type Client } from "./client.ts";

const path = "/soak.Echo/Echo";
const asIs = (message: Buffer): Buffer => message;
const messagesPerStream = 20;
const betweenMessagesMs = 100;

export const grpcClient: Client = async (options, stop) => {
  const { port, host, load, random } = options;
  const client = new GrpcClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.default_authority": host,
    // Each worker has a connection of its own.
    "grpc.use_local_subchannel_pool": 1,
  });
  let count = 0;
  const message = (): Buffer => body(`${random.next()}-${(count += 1)}`, 10 + random.below(2000));
  await closedLoop(options, stop, () => (load === "gRPC unary" ? unary(client, message()) : bidi(client, message)));
  client.close();
};

function unary(client: GrpcClient, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + deadlineMs;
    client.makeUnaryRequest(path, asIs, asIs, message, { deadline }, (error: ServiceError | null, answer?: Buffer) => {
      if (error !== null) reject(error);
      else if (answer?.equals(message) === true) resolve();
      else reject(new Error("not what was sent"));
    });
  });
}

/** Each message waits for the echo of the one before. */
async function bidi(client: GrpcClient, message: () => Buffer): Promise<void> {
  const call = client.makeBidiStreamRequest(path, asIs, asIs, { deadline: Date.now() + deadlineMs });
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  let echoed = Promise.withResolvers<Buffer>();
  let echoes = 0;
  call.on("data", (answer: Buffer) => {
    echoes += 1;
    echoed.resolve(answer);
  });
  call.on("error", (error: ServiceError) => ended.reject(error));
  call.on("end", () => ended.resolve());
  for (let sent = 0; sent < messagesPerStream; sent += 1) {
    echoed = Promise.withResolvers<Buffer>();
    const wanted = message();
    call.write(wanted);
    const answer = await Promise.race([echoed.promise, ended.promise]);
    if (answer === undefined) throw new Error(`the stream ended after ${echoes} messages`);
    if (!answer.equals(wanted)) throw new Error("not what was sent");
    await pause(betweenMessagesMs);
  }
  call.end();
  await ended.promise;
}
