/** The Revision of a Configuration's current generation (spec: serving-api 4.4). */
import { rfc3339 } from "../../api/conditions.ts";
import { annotation, label } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { revisionName } from "../../api/names.ts";
import { revisions, type Configuration, type Revision } from "../../api/serving.ts";
import { controllerReference } from "../../kube/write.ts";

export function makeRevision(configuration: Configuration, nowMs: number): Revision {
  const { name = "", namespace = "", uid = "", generation = 0 } = configuration.metadata;
  const { metadata: template = {}, spec } = configuration.spec.template;
  const ofConfiguration = configuration.metadata.labels ?? {};
  const routes = configuration.metadata.annotations?.[annotation.routes];
  const creator = configuration.metadata.annotations?.[annotation.lastModifier];
  return {
    apiVersion: apiVersionOf(revisions),
    kind: revisions.kind,
    metadata: {
      name: template.name !== undefined && template.name !== "" ? template.name : revisionName(name, generation),
      namespace,
      labels: withoutEmpty({
        ...template.labels,
        [label.configuration]: name,
        [label.configurationGeneration]: String(generation),
        [label.configurationUID]: uid,
        [label.service]: ofConfiguration[label.service],
        [label.serviceUID]: ofConfiguration[label.serviceUID],
        [label.routingState]: routes === undefined ? "pending" : "active",
      }),
      annotations: {
        ...template.annotations,
        ...(creator === undefined ? {} : { [annotation.creator]: creator }),
        ...(routes === undefined ? {} : { [annotation.routes]: routes }),
        [annotation.routingStateModified]: rfc3339(nowMs),
      },
      ownerReferences: [controllerReference(configuration)],
    },
    spec,
  };
}

function withoutEmpty(map: Record<string, string | undefined>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(map)) if (value !== undefined && value !== "") found[key] = value;
  return found;
}
