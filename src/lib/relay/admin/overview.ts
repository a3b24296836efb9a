// The state of a relay in one value: for `tunl relay status` and the operators' page.

import type {Admin} from './admin.js';
import type {ProcessCounts} from './report.js';

export interface Overview {
  /** ISO 8601. */
  startedAt: string;
  counts: ProcessCounts;
  /** The numbers of the worker processes that serve; empty for a relay of one process. */
  workers: readonly number[];
  certificate: {kind: 'given' | 'own-ca'; expiresAt: string};
  /** Since the start, by reason. */
  refusals: Readonly<Record<string, number>>;
  /** The last probe of the relay's own tunnel; absent when there is none. */
  probe?: {ok: boolean; leg?: string; reason?: string; at: string};
  blocked: number;
}

export async function overviewOf(admin: Admin): Promise<Overview> {
  const {options, counters, startedAt, relay} = admin;
  const {certificates, operations, workers, blocked} = options;
  const probe = relay?.probe;
  return {
    startedAt: startedAt.toISOString(),
    counts: await operations.counts(),
    workers: workers(),
    certificate: {
      kind: certificates.caFile === undefined ? 'given' : 'own-ca',
      expiresAt: new Date(certificates.expiresAt).toISOString(),
    },
    refusals: Object.fromEntries(counters.refusals),
    ...(probe !== undefined && {
      probe: {
        ok: probe.ok,
        ...(probe.leg !== undefined && {leg: probe.leg}),
        ...(probe.reason !== undefined && {reason: probe.reason}),
        at: new Date(probe.at).toISOString(),
      },
    }),
    blocked: blocked.count,
  };
}
