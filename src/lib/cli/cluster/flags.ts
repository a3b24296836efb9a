// The flags of the commands for clusters, and their options in the library.

import {GATE_SETTINGS, LINK_SETTINGS} from '../../agent/settings-table.js';
import type {JoinClusterOptions} from '../../cluster/join-options.js';
import {type ClusterOptions, type ExposedPort, readExposed} from '../../cluster/options.js';
import {TunlError} from '../../core/errors.js';
import {type Kind, list, onOff, setting, text, wholeTime} from '../../core/settings.js';
import {networkLinkFlags} from '../network/flags.js';
import {environment} from '../sandbox/env.js';
import {flagsOf, optionsOf, type ValuesOf} from '../setting-flags.js';

/** The library says which numbers are possible, with its own error. */
const anyNumber = (placeholder: string): Kind<number> => ({
  placeholder,
  parse: (written) => (/^\d{1,9}$/.test(written.trim()) ? Number(written) : (written as unknown as number)),
  check: (value) => value,
  show: String,
});

const PROGRAM_SETTINGS = {
  restarts: setting(anyNumber('N'), {
    flag: 'restarts',
    help: 'How often to start all again after a failure (0).',
  }),
  isolated: setting(onOff, {
    default: false,
    flag: 'isolated',
    help: 'Members reach one another only, not the internet.',
  }),
  masterPort: setting(anyNumber('PORT'), {flag: 'master-port', help: 'The value of MASTER_PORT (29500).'}),
  graceMs: setting(wholeTime({minMs: 0}), {
    flag: 'grace',
    help: 'Time between SIGTERM and SIGKILL (10 s).',
  }),
};

const ENV_SETTINGS = {
  env: setting(list(text('K[=V]')), {flag: 'env', help: 'A further variable of the programs.'}),
};

const exposed: Kind<ExposedPort> = {
  placeholder: 'RANK:PORT',
  parse: readExposed,
  check: (value) => value,
  show: ({rank, port}) => `${rank}:${port}`,
};

const RUN_SETTINGS = {
  size: setting(anyNumber('N'), {flag: 'size', help: 'Members, 1 to 32.'}),
  expose: setting(list(exposed), {
    flag: 'expose',
    help: 'A public address in front of a port of a member; repeatable.',
  }),
};

const EXPOSE = 'exposed ports';
const TUNNEL_SETTINGS = {
  private: {...GATE_SETTINGS.private, help: 'Only visitors with the printed link.', group: EXPOSE},
  ...LINK_SETTINGS,
};

const JOIN_SETTINGS = {
  size: RUN_SETTINGS.size,
  rank: setting(anyNumber('R'), {flag: 'rank', help: 'The rank of this machine (in the order of joining).'}),
  joinTimeoutMs: setting(wholeTime({minMs: 1}), {
    flag: 'join-timeout',
    help: 'How long to wait for the others (10 min).',
  }),
  direct: setting(onOff, {
    default: false,
    flag: 'direct',
    help: 'Let others connect to a port of this machine, without the relay.',
  }),
};

const programFlags = {...flagsOf(PROGRAM_SETTINGS), ...flagsOf(ENV_SETTINGS)};
export const joinFlags = {...flagsOf(JOIN_SETTINGS), ...programFlags, ...networkLinkFlags};
export const runFlags = {...flagsOf(RUN_SETTINGS), ...programFlags, ...flagsOf(TUNNEL_SETTINGS)};

type ProgramFlags = ValuesOf<typeof PROGRAM_SETTINGS> & ValuesOf<typeof ENV_SETTINGS>;
type JoinFlags = ProgramFlags & ValuesOf<typeof JOIN_SETTINGS> & ValuesOf<typeof LINK_SETTINGS>;
type RunFlags = ProgramFlags & ValuesOf<typeof RUN_SETTINGS> & ValuesOf<typeof TUNNEL_SETTINGS>;

/** @throws TunlError OPTION_INVALID */
async function programOptions(flags: ProgramFlags) {
  return {...optionsOf(PROGRAM_SETTINGS, flags), env: await environment(flags.env)};
}

/** @throws TunlError OPTION_INVALID */
export async function clusterOptions(flags: RunFlags): Promise<ClusterOptions> {
  return {
    ...(await programOptions(flags)),
    size: sizeOf(flags),
    expose: flags.expose ?? [],
    forward: optionsOf(TUNNEL_SETTINGS, flags),
  };
}

/** @throws TunlError CLUSTER_INVALID, OPTION_INVALID */
export async function joinOptions(name: string, flags: JoinFlags): Promise<JoinClusterOptions> {
  return {
    ...(await programOptions(flags)),
    ...optionsOf(LINK_SETTINGS, flags),
    ...optionsOf(JOIN_SETTINGS, flags),
    size: sizeOf(flags),
    name,
  };
}

function sizeOf({size}: {size?: number | undefined}): number {
  if (size !== undefined) return size;
  throw new TunlError('CLUSTER_INVALID', {reason: 'The size is missing.', next: 'Give --size N, 1 to 32.'});
}
