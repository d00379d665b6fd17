/** What a template can see: Go values, as far as a request log has them. */

/** What a field or method of a value is; undefined says that the value has none of that name. */
export interface TemplateObject {
  field(name: string): TemplateValue | undefined;
}

/** A method: called with the arguments that follow its name. */
export type TemplateMethod = (args: readonly TemplateValue[]) => TemplateValue;
/** Numbers print as Go's float64 unless they are wrapped as {@link Int}. */
export type TemplateValue =
  | string
  | number
  | boolean
  | null
  | Int
  | readonly string[]
  | ReadonlyMap<string, readonly string[]>
  | TemplateObject
  | TemplateMethod;

export class Int {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** At parse or at run time; says where in the template. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

/** Go's truth: not the zero value, not empty. */
export function isTrue(value: TemplateValue): boolean {
  if (value instanceof Int) return value.value !== 0;
  if (value instanceof Map) return value.size > 0;
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}
