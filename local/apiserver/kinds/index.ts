/** The kinds that the embedded API server serves: the built-in ones and those of its CRDs. */
import type { KubeObject } from "../../../api/meta.ts";
import type { FieldCause, Kind, KindRegistry } from "../kind.ts";
import { builtinKinds } from "./builtin.ts";
import { customKinds } from "./custom.ts";

export function createKindRegistry(): KindRegistry {
  const builtin = builtinKinds();
  const custom = new Map<string, { crd: KubeObject; kinds: readonly Kind[] }>();
  let kinds: readonly Kind[] = builtin;
  let byPlural = new Map<string, Kind>();
  let byKind = new Map<string, Kind>();
  let revision = 0;
  const rebuild = () => {
    kinds = [...builtin, ...[...custom.values()].flatMap((one) => one.kinds)];
    byPlural = new Map(kinds.map((kind) => [`${groupVersion(kind)}/${kind.resource.plural}`, kind]));
    byKind = new Map(kinds.map((kind) => [`${groupVersion(kind)}/${kind.resource.kind}`, kind]));
    revision++;
  };
  rebuild();
  return {
    find: (group, version, name) => byPlural.get(`${group}/${version}/${name}`),
    findByKind: (group, version, name) => byKind.get(`${group}/${version}/${name}`),
    all: () => kinds,
    putCrd: (crd) => {
      const name = crd.metadata.name ?? "";
      const { kinds: added, problems } = customKinds(crd);
      if (problems.length > 0) return problems;
      const taken = nameConflicts(added, kinds, custom.get(name)?.kinds ?? []);
      if (taken.length > 0) return taken;
      custom.set(name, { crd, kinds: added });
      rebuild();
      return [];
    },
    removeCrd: (name) => {
      if (custom.delete(name)) rebuild();
    },
    crds: () => [...custom.values()].map((one) => one.crd),
    get revision() {
      return revision;
    },
  };
}

const groupVersion = ({ resource }: Kind): string => `${resource.group}/${resource.version}`;

/** Names are unique within a group, whichever CRD claimed them first. */
function nameConflicts(added: readonly Kind[], served: readonly Kind[], own: readonly Kind[]): FieldCause[] {
  const causes: FieldCause[] = [];
  const first = added[0];
  if (first === undefined) return causes;
  const others = served.filter((kind) => kind.resource.group === first.resource.group && !own.includes(kind));
  const invalid = (field: string, name: string) =>
    causes.push({
      reason: "FieldValueInvalid",
      field,
      message: `Invalid value: "${name}": "${name}" is already in use`,
    });
  for (const other of others) {
    if (other.resource.plural === first.resource.plural) invalid("spec.names.plural", first.resource.plural);
    if (other.resource.kind === first.resource.kind) invalid("spec.names.kind", first.resource.kind);
  }
  return causes;
}
