/** What reading the same pods by scraping takes (spec: autoscaling 2.4): computed, not run. */

/** Pods of one revision that are asked, each second. */
export function scrapeSample(readyPods: number): number {
  if (readyPods <= 3) return readyPods;
  const enough = (1.96 ** 2 * 100) / 25;
  return Math.ceil((readyPods * enough) / (readyPods + enough - 1));
}

/** HTTP requests a second. */
export const scrapesPerSecond = (revisions: number, podsPerRevision: number): number =>
  revisions * scrapeSample(podsPerRevision);
