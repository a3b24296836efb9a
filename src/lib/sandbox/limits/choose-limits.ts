// Compares the limits that were asked for with those that this machine can hold.

import {TunlError} from '../../core/errors.js';
import type {BackendReport} from '../backend.js';
import type {SandboxLimits} from '../spec.js';

type LimitName = keyof SandboxLimits;

const WORDS: Readonly<Record<LimitName, string>> = {
  memoryBytes: 'memory',
  cpus: 'cpu',
  pids: 'pids',
  diskBytes: 'disk',
  openFiles: 'open files',
};

/** @returns the limits that are not real here. @throws TunlError SANDBOX_LIMIT if there is one, unless `bestEffort`. */
export function unrealLimits(
  limits: SandboxLimits,
  findings: BackendReport['limits'],
  bestEffort: boolean,
): LimitName[] {
  const asked = (Object.keys(WORDS) as LimitName[]).filter((name) => limits[name] !== undefined);
  const unreal = asked.filter((name) => findings[name].reality !== 'real');
  const [first] = unreal;
  if (first === undefined || bestEffort) return unreal;
  const {why, mend} = findings[first];
  throw new TunlError('SANDBOX_LIMIT', {
    reason: `The limit of ${WORDS[first]} cannot be held here${why === undefined ? '.' : `: ${why}`}`,
    ...(mend !== undefined && {next: mend}),
  });
}

/** Without those limits. */
export function withoutLimits(limits: SandboxLimits, without: readonly LimitName[]): SandboxLimits {
  const kept = {...limits};
  for (const name of without) delete kept[name];
  return kept;
}
