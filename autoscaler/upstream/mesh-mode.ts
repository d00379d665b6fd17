/** `config-network`: whether pods can be reached by their addresses (autoscaling 2.4). */
export interface MeshMode {
  mode: "auto" | "enabled" | "disabled";
  /** A mesh that lets pods be addressed one by one when it is told so. */
  passThrough: boolean;
}

/** What cannot be read is the default: the webhook has refused it, and the process reads this once. */
export function parseMeshMode(data: Readonly<Record<string, string>> | undefined): MeshMode {
  const mode = data?.["mesh-compatibility-mode"]?.trim().toLowerCase();
  return {
    mode: mode === "enabled" || mode === "disabled" ? mode : "auto",
    passThrough: data?.["enable-mesh-pod-addressability"]?.trim().toLowerCase() === "true",
  };
}
