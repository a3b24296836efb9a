// Which isolation program a sandbox gets. There is never none, and a limit that does not hold is an error unless the caller
// accepts it.

import {TunlError} from '../core/errors.js';
import type {BackendName, BackendReport, SandboxBackend} from './backend.js';
import type {EgressRules, SandboxLimits} from './spec.js';

export interface Wanted {
  readonly backend: 'auto' | BackendName;
  readonly image?: string | undefined;
  readonly runtime?: string | undefined;
  readonly limits: SandboxLimits;
  readonly egress: EgressRules;
  readonly bestEffort: boolean;
}

export type OpenBackend = (name: BackendName) => Promise<SandboxBackend>;

/** @throws TunlError SANDBOX_BACKEND, SANDBOX_LIMIT, SANDBOX_EGRESS, OPTION_INVALID */
export async function chooseBackend(wanted: Wanted, open: OpenBackend): Promise<SandboxBackend> {
  const names = candidates(wanted);
  const asked = (Object.keys(wanted.limits) as (keyof SandboxLimits)[]).filter(
    (name) => wanted.limits[name] !== undefined,
  );
  const [only] = names;
  // A probe costs time. The backend itself checks what it is asked for as well.
  if (names.length === 1 && only !== undefined && asked.length === 0 && wanted.egress.kind === 'none') {
    return await open(only);
  }
  const missing: BackendReport[] = [];
  for (const name of names) {
    const backend = await open(name);
    const report = await backend.probe();
    if (report.available) {
      checkReport(report, asked, wanted);
      return backend;
    }
    missing.push(report);
  }
  throw noBackend(missing);
}

function candidates({backend, image, runtime}: Wanted): BackendName[] {
  const needsEngine = image !== undefined || runtime !== undefined;
  if (backend === 'auto') return needsEngine ? ['podman', 'docker'] : ['bubblewrap'];
  if (backend === 'bubblewrap' && needsEngine) {
    throw new TunlError('OPTION_INVALID', {
      reason: `bubblewrap has no ${image === undefined ? 'runtimes' : 'images'}.`,
      next: 'Use the backend podman or docker, or leave it out.',
    });
  }
  if (backend !== 'bubblewrap' && image === undefined) {
    throw new TunlError('OPTION_INVALID', {
      reason: `${backend} needs the name of an image.`,
      next: 'Add an image, or use the backend bubblewrap.',
    });
  }
  return [backend];
}

function checkReport(
  report: BackendReport,
  asked: readonly (keyof SandboxLimits)[],
  {bestEffort, egress}: Wanted,
): void {
  const unreal = asked.map((name) => report.limits[name]).filter(({reality}) => reality !== 'real');
  const [first] = unreal;
  if (first !== undefined && !bestEffort) {
    throw new TunlError('SANDBOX_LIMIT', {
      reason: unreal
        .map(({what, reality, why}) => {
          const state = reality === 'soft' ? 'holds for each process alone' : 'does not hold';
          return `${capital(what)} ${state} with ${report.name} here${because(why)}`;
        })
        .join(' '),
      ...(first.mend !== undefined && {next: first.mend}),
    });
  }
  if (egress.kind !== 'none' && report.egress.reality !== 'real') {
    const {why, mend} = report.egress;
    throw new TunlError('SANDBOX_EGRESS', {
      reason: `Rules for the network do not hold with ${report.name} here${because(why)}`,
      ...(mend !== undefined && {next: mend}),
    });
  }
}

function noBackend(reports: readonly BackendReport[]): TunlError {
  const [first] = reports;
  return new TunlError('SANDBOX_BACKEND', {
    reason: reports.map(({name, why}) => `${name}${because(why ?? 'it is not there')}`).join(' '),
    ...(first?.mend !== undefined && {next: first.mend}),
  });
}

/** The end of a sentence. Reasons of backends are sentences or parts of one. */
function because(why: string | undefined): string {
  return why ? `: ${why.replace(/\.$/, '')}.` : '.';
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
