/** What the cluster process tells the command line that started it, over the channel between them. */

export type Progress =
  | { is: "step"; text: string; tookMs: number }
  /** Nothing is wrong, but the person would want to know. */
  | { is: "note"; text: string }
  | { is: "ready"; addresses: Addresses }
  /** One sentence; the process ends after it. */
  | { is: "failed"; message: string };

/** Where everything is. The command line prints it, `--json` as it stands. */
export interface Addresses {
  /** Path of a file for KUBECONFIG. */
  kubeconfig: string;
  /** URL at which requests come in, told apart by host name. */
  gateway: string;
  /** More URLs that lead to the same place. */
  alsoAt: string[];
  /** URL of the Kubernetes API. */
  api: string;
  data: string;
  domain: string;
  sample?: { url: string; curl: string; host: string };
}
