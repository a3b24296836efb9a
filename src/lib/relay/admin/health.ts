// Whether a relay is ready for visitors, for load balancers and orchestrators.

import type {Admin} from './admin.js';

export interface Readiness {
  readonly ok: boolean;
  /** `true`, or why not. */
  readonly checks: Readonly<Record<string, true | string>>;
}

/** @param excluded names of checks that do not count */
export function readinessOf(
  {relay, isDraining, options}: Admin,
  excluded: readonly string[] = [],
  now = Date.now(),
): Readiness {
  const {expiresAt} = options.certificates;
  const probe = relay?.probe;
  const all: Readonly<Record<string, true | string>> = {
    listens: relay === undefined ? 'it is still starting' : true,
    accepts: isDraining ? 'it is shutting down' : true,
    certificate: expiresAt > now || `it ended at ${new Date(expiresAt).toISOString()}`,
    ...(probe !== undefined && {
      probe: probe.ready || `${probe.leg ?? 'the probe'} fails: ${probe.reason ?? 'no reason is known'}`,
    }),
  };
  const checks = Object.fromEntries(Object.entries(all).filter(([name]) => !excluded.includes(name)));
  return {ok: Object.values(checks).every((check) => check === true), checks};
}
