/** What every pod of the node shares. */
import type { Pod, Service } from "../../api/core.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { RecordEvent } from "../../kube/events.ts";
import type { Lister } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import type { ImageStore } from "../image/store.ts";
import type { HostListen } from "../ports.ts";
import type { AddressPool, PortPool } from "./addresses.ts";
import type { ProcessRecords } from "./process-records.ts";
import type { Resources } from "./scheduling.ts";
import type { StartPacing } from "./start-pacing.ts";

export interface NodeContext {
  client: KubeClient;
  /** The node's own folder; pods are below `pods/<uid>`. */
  folder: string;
  nodeName: string;
  hostIP: string;
  allocatable: Resources;
  images: ImageStore;
  /** Calls back when the image store changed. Returns the function that ends it. */
  onImagesChanged: (listener: () => void) => () => void;
  nodeBin: string;
  issueToken: (namespace: string, serviceAccount: string, podUid: string) => string;
  apiServer: { url: string; ca: string };
  hostListen: (pod: Pod, services: Service[]) => HostListen | undefined;
  services: Lister<Service>;
  hostsFile: string;
  addresses: AddressPool;
  ports: PortPool;
  pacing: StartPacing;
  records: ProcessRecords;
  event: RecordEvent;
  /** Processes start with this nice value until they are ready, 0 to leave it. */
  startNice: number;
  log: Logger;
}

/** What the containers of one pod share. */
export interface PodContext {
  /** The newest state known. */
  pod: () => Pod;
  podIP: string;
  /** `pods/<uid>`. */
  folder: string;
  portMap: ReadonlyMap<number, number>;
  /** Volume name → its folder. */
  volumes: ReadonlyMap<string, string>;
  /** "" when the pod has no service account token. */
  kubeconfig: string;
  /** Something of the status may be different now. */
  changed: () => void;
  event: (type: "Normal" | "Warning", reason: string, message: string) => void;
}
