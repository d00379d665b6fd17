/** Makers of the causes that a refused object is answered with, in Kubernetes' words. */
import type { FieldCause } from "../kind.ts";

/** As error texts show a value: strings quoted, everything else as JSON. */
export const shown = (value: unknown): string => (value === undefined ? '""' : JSON.stringify(value));

export function required(field: string, detail = ""): FieldCause {
  return {
    reason: "FieldValueRequired",
    field,
    message: detail === "" ? "Required value" : `Required value: ${detail}`,
  };
}

export function invalid(field: string, value: unknown, detail: string): FieldCause {
  return { reason: "FieldValueInvalid", field, message: `Invalid value: ${shown(value)}: ${detail}` };
}

export function typeInvalid(field: string, value: unknown, detail: string): FieldCause {
  return { reason: "FieldValueTypeInvalid", field, message: `Invalid value: ${shown(value)}: ${detail}` };
}

export function notSupported(field: string, value: unknown, supported: readonly unknown[]): FieldCause {
  const values = supported.map(shown).join(", ");
  return {
    reason: "FieldValueNotSupported",
    field,
    message: `Unsupported value: ${shown(value)}: supported values: ${values}`,
  };
}

export function duplicate(field: string, value: unknown): FieldCause {
  return { reason: "FieldValueDuplicate", field, message: `Duplicate value: ${shown(value)}` };
}

export function notFound(field: string, value: unknown): FieldCause {
  return { reason: "FieldValueNotFound", field, message: `Not found: ${shown(value)}` };
}

export function forbidden(field: string, detail: string): FieldCause {
  return { reason: "FieldValueForbidden", field, message: `Forbidden: ${detail}` };
}

export function tooLong(field: string, mostBytes: number): FieldCause {
  return { reason: "FieldValueTooLong", field, message: `Too long: may not be more than ${mostBytes} bytes` };
}

export function tooMany(field: string, actual: number, most: number): FieldCause {
  return { reason: "FieldValueTooMany", field, message: `Too many: ${actual}: must have at most ${most} items` };
}
