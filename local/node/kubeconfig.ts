/** The kubeconfig that stands for a mounted service account token. */

/** JSON, which is YAML too: every client reads it. */
export function podKubeconfig(apiServer: { url: string; ca: string }, token: string, namespace: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "local",
        cluster: {
          server: apiServer.url,
          "certificate-authority-data": Buffer.from(apiServer.ca).toString("base64"),
        },
      },
    ],
    users: [{ name: "pod", user: { token } }],
    contexts: [{ name: "pod", context: { cluster: "local", user: "pod", namespace } }],
    "current-context": "pod",
  });
}
