// The limits of owners: how many connections and flows by egress at once, and how many new ones a second.

import type {LimitReports} from '../limits/limit-reports.js';
import type {VisitorCounts} from '../limits/visitor-counts.js';

export interface EgressLimitsOptions {
  /** Those of the owners in all processes of this relay. */
  counts: VisitorCounts;
  /** Counts new ones of owners in all processes of this relay. */
  newConnections: {take(owner: string): number | Promise<number>};
  reports: Pick<LimitReports, 'note'>;
  /** True when connections would take the descriptors that others need. */
  isFull: (() => boolean) | undefined;
  mostOfOwner: () => number;
}

/** `turn`: another process counts it. Resolves with the reason for a refusal. */
export type Admission = {refusal: string} | {turn: Promise<string | undefined> | undefined};

export class EgressLimits {
  readonly #options: EgressLimitsOptions;

  constructor(options: EgressLimitsOptions) {
    this.#options = options;
  }

  /** Whether this owner may have a further one now. */
  admit(owner: string): Admission {
    const {reports, counts, isFull, mostOfOwner, newConnections} = this.#options;
    const most = mostOfOwner();
    if (isFull?.()) return {refusal: 'The relay has no room for another connection now.'};
    if (counts.of('egress', owner) >= most) {
      reports.note('egress', 'owner', owner);
      return {refusal: `The owner may have ${most} connections by egress at once.`};
    }
    const waitMs = newConnections.take(owner);
    if (typeof waitMs !== 'number') return {turn: waitMs.then((told) => this.#tooOften(owner, told))};
    const refusal = this.#tooOften(owner, waitMs);
    return refusal === undefined ? {turn: undefined} : {refusal};
  }

  /** Counts one more. Returns a function for its end. */
  enter(owner: string): () => void {
    const {counts} = this.#options;
    const count = counts.enter('egress', owner);
    return () => counts.leave(count);
  }

  /** Undefined: it is its turn. */
  #tooOften(owner: string, waitMs: number): string | undefined {
    if (waitMs <= 0) return undefined;
    this.#options.reports.note('new-egress', 'owner', owner);
    return `Too many connections in a row; the next in ${Math.ceil(waitMs / 1_000)} s.`;
  }
}
