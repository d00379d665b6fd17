/** String formats that a CRD's schema may name and that are enforced; any other name allows everything. */
import { isIPv4, isIPv6 } from "node:net";

const patterns: Readonly<Record<string, RegExp>> = {
  "date-time": /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  duration: /^[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w)(\s*(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w))*$|^0$/,
  byte: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
  uuid: /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i,
  hostname:
    /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/,
  email: /^[^\s@]+@[^\s@]+$/,
  mac: /^(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$/,
};

export function isValidFormat(format: string, value: string): boolean {
  switch (format) {
    case "ipv4":
      return isIPv4(value);
    case "ipv6":
      return isIPv6(value);
    case "cidr": {
      const [address = "", bits = "", ...rest] = value.split("/");
      const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
      return rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most;
    }
    case "uri":
      return URL.canParse(value) || value.startsWith("/");
    case "date-time":
    case "date":
      return patterns[format]?.test(value) === true && !Number.isNaN(Date.parse(value));
    default:
      return patterns[format]?.test(value) ?? true;
  }
}
