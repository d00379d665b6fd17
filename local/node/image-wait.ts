/** Waits until an image is in the store, telling what is missing meanwhile. */
import { BackOff, pause } from "../../kube/back-off.ts";
import type { ImageEntry } from "../image/store.ts";
import type { NodeContext, PodContext } from "./node-context.ts";

/** How long ErrImagePull is shown before it becomes ImagePullBackOff. */
const pullErrorMs = 1000;

/** Resolves with undefined when `stop` aborts. Looks again whenever the store changed, and with back-off. */
export async function awaitImage(
  image: string,
  { images, onImagesChanged }: Pick<NodeContext, "images" | "onImagesChanged">,
  tell: { waiting: (reason: string, message: string) => void; event: PodContext["event"] },
  stop: AbortSignal,
): Promise<ImageEntry | undefined> {
  const backOff = new BackOff({ firstMs: 10_000, maxMs: 300_000 });
  for (let tries = 0; !stop.aborted; tries++) {
    const found = images.resolve(image);
    if (found !== undefined) {
      tell.event("Normal", "Pulled", `Container image "${image}" already present on machine`);
      return found;
    }
    const why = images.explainMissing(image);
    if (tries === 0) {
      tell.event("Warning", "Failed", `Failed to pull image "${image}": ${why}`);
      tell.event("Warning", "Failed", "Error: ErrImagePull");
      tell.waiting("ErrImagePull", why);
      await changed(onImagesChanged, pullErrorMs, stop);
      continue;
    }
    if (tries === 1) {
      tell.event("Normal", "BackOff", `Back-off pulling image "${image}"`);
      tell.event("Warning", "Failed", "Error: ImagePullBackOff");
    }
    tell.waiting("ImagePullBackOff", `Back-off pulling image "${image}": ErrImagePull: ${why}`);
    await changed(onImagesChanged, backOff.nextMs(), stop);
  }
  return undefined;
}

async function changed(
  onImagesChanged: NodeContext["onImagesChanged"],
  timeoutMs: number,
  stop: AbortSignal,
): Promise<void> {
  if (stop.aborted) return;
  const controller = new AbortController();
  const wake = (): void => controller.abort();
  stop.addEventListener("abort", wake, { once: true });
  const forget = onImagesChanged(wake);
  await pause(timeoutMs, controller.signal);
  forget();
  stop.removeEventListener("abort", wake);
}
