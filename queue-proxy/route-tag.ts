/** Through which route tag a request came, as metrics and traces name it (data-plane 1.14). */
import type { HeaderList } from "../proxy/exchange.ts";

export function routeTag(headers: HeaderList): string {
  const tag = headers.get("Knative-Serving-Tag") ?? "";
  const byDefault = headers.get("Knative-Serving-Default-Route") ?? "";
  if (tag === "") return byDefault === "" ? "kn:disabled" : "kn:default";
  return byDefault === "true" ? "kn:undefined" : tag;
}
