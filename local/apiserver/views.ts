/** Kinds that are another kind's objects under other names: calls go to that kind, objects are translated on the way. */
import type { KubeList, KubeObject, Status } from "../../api/meta.ts";
import { apiVersionOf } from "../../api/meta.ts";
import type { Patch } from "../../kube/client.ts";
import type { Call } from "./call.ts";
import { copyOf } from "./json-value.ts";
import type { KindView } from "./kind.ts";
import { patched } from "./patch.ts";
import type { Rest } from "./rest.ts";
import { unknownPath, unsupportedMediaType } from "./status-error.ts";

export function withViews(rest: Rest): Rest {
  const inner = (call: Call, view: KindView): Call => {
    const kind = rest.kinds.find(view.of.group, view.of.version, view.of.plural);
    if (kind === undefined) throw unknownPath();
    return { ...call, kind };
  };
  const listOf = ({ kind }: Call, view: KindView, list: KubeList<KubeObject>): KubeList<KubeObject> => ({
    ...list,
    apiVersion: apiVersionOf(kind.resource),
    kind: kind.listKind,
    items: list.items.map(view.fromStored),
  });
  const queryOf = <T extends { fieldSelector: string }>(view: KindView, query: T): T => ({
    ...query,
    fieldSelector: query.fieldSelector.replace(
      /(^|,)([^,!=]+)/g,
      (_, start: string, path: string) => start + view.fieldSelector(path),
    ),
  });
  const isStatus = (answer: KubeObject | Status): answer is Status => answer.kind === "Status";

  return {
    ...rest,
    get(call) {
      const { view } = call.kind;
      return view === undefined ? rest.get(call) : view.fromStored(rest.get(inner(call, view)));
    },
    list(call, query) {
      const { view } = call.kind;
      return view === undefined
        ? rest.list(call, query)
        : listOf(call, view, rest.list(inner(call, view), queryOf(view, query)));
    },
    async create(call, body) {
      const { view } = call.kind;
      if (view === undefined) return rest.create(call, body);
      return view.fromStored(await rest.create(inner(call, view), view.toStored(body)));
    },
    async update(call, body) {
      const { view } = call.kind;
      if (view === undefined) return rest.update(call, body);
      return view.fromStored(await rest.update(inner(call, view), view.toStored(body)));
    },
    async patch(call, patch: Patch) {
      const { view } = call.kind;
      if (view === undefined) return rest.patch(call, patch);
      // It is written against this view's names, and against this version.
      const next = patched(call.kind, view.fromStored(rest.get(inner(call, view))), patch);
      return view.fromStored(await rest.update(inner(call, view), view.toStored(next)));
    },
    async apply(call, config, force) {
      if (call.kind.view !== undefined) throw unsupportedMediaType(["application/merge-patch+json"]);
      return rest.apply(call, config, force);
    },
    async remove(call, options) {
      const { view } = call.kind;
      if (view === undefined) return rest.remove(call, options);
      const answer = await rest.remove(inner(call, view), options);
      return isStatus(answer) ? answer : view.fromStored(answer);
    },
    async removeCollection(call, options, query) {
      const { view } = call.kind;
      if (view === undefined) return rest.removeCollection(call, options, query);
      return listOf(call, view, await rest.removeCollection(inner(call, view), options, queryOf(view, query)));
    },
    watch(call, query, sink) {
      const { view } = call.kind;
      if (view === undefined) return rest.watch(call, query, sink);
      return rest.watch(inner(call, view), queryOf(view, query), (event) =>
        sink(
          event.type === "BOOKMARK"
            ? event
            : { ...event, object: view.fromStored(copyOf(event.object)), json: undefined },
        ),
      );
    },
  };
}
