/** A decision record with what follows from it: what `GET /debug/decisions/NAMESPACE/REVISION` answers. */
import type { DecisionRecord } from "../decision-log.ts";
import { limitsOf, type Limit } from "./limits.ts";
import { whatIf, type WhatIf } from "./what-if.ts";

export interface Explained extends DecisionRecord {
  limits: Limit[];
  /** Absent where nothing was decided. */
  whatIf?: WhatIf;
}

export function explained(record: DecisionRecord): Explained {
  const alternatives = whatIf(record);
  return { ...record, limits: limitsOf(record), ...(alternatives === undefined ? {} : { whatIf: alternatives }) };
}
