// The flags that commands with a tunnel share, and their options in the library.

import {boolean} from '@oclif/core/flags';
import type {ForwardOptions} from '../agent/options.js';
import {LAN_AUTO} from '../agent/setting-kinds.js';
import {
  ADDRESS_SETTINGS,
  ENDS_SETTINGS,
  FORWARD_SETTINGS,
  GATE_SETTINGS,
  LAN_SETTINGS,
  LINK_SETTINGS,
  NAME_SETTINGS,
  PROBE_SETTINGS,
  PROTOCOL_SETTINGS,
  UPSTREAM_SETTINGS,
  UPSTREAM_TLS_SETTINGS,
} from '../agent/settings-table.js';
import {file, onOff, setting, settle, text, time} from '../core/settings.js';
import {EGRESS_RUN_SETTINGS, EGRESS_SETTINGS} from '../egress/run-settings.js';
import {flagOf, flagsOf, hidden, optionsOf, type ValuesOf} from './setting-flags.js';

const LIFE = 'life';

/** When the command ends its tunnel: in the library the caller decides that. */
const LIFE_SETTINGS = {
  expiresMs: setting(time({minMs: 1}), {
    flag: 'expires',
    help: 'End after this time, like 30s, 90m, 2h, 7d.',
    group: LIFE,
  }),
  idleTimeoutMs: setting(time({minMs: 1}), {
    flag: 'idle-timeout',
    help: 'End after this time without a visitor.',
    group: LIFE,
  }),
  drainTimeoutMs: setting(time(), {
    // Long enough for a page or a request, and short enough for a user who waits at the terminal.
    default: 5_000,
    flag: 'drain-timeout',
    help: 'Time for connections to finish after Ctrl+C.',
    group: LIFE,
  }),
  detach: setting(onOff, {
    default: false,
    flag: 'detach',
    help: 'Run in the background: tunl list, tunl logs, tunl stop.',
    group: LIFE,
  }),
};

export const nameFlags = flagsOf(NAME_SETTINGS);
export const lifeFlags = flagsOf(LIFE_SETTINGS);
export const relayFlags = {...flagsOf(LINK_SETTINGS), ...flagsOf(PROBE_SETTINGS)};
export const visitorFlags = flagsOf(ADDRESS_SETTINGS);
/** For tunnels that a phone in the same network may visit. */
export const lanFlags = flagsOf(LAN_SETTINGS);
export const lanSpelling = ['--lan', `--lan=${LAN_AUTO}`] as const;
export const gateFlags = flagsOf(GATE_SETTINGS);
const upstreamFlags = flagsOf(UPSTREAM_TLS_SETTINGS);
export const upstreamFlagNames = Object.keys(upstreamFlags) as (keyof typeof upstreamFlags)[];

/** For all commands that show an address. */
export const copyFlag = {
  copy: boolean({summary: 'Copy the address to the clipboard.', helpGroup: 'output'}),
  'no-keys': boolean({summary: 'Read no keys: no q, o, c, ?.', helpGroup: 'output'}),
};

/** For addresses that a browser opens. */
export const showFlags = {
  open: boolean({summary: 'Open the address in the browser.', helpGroup: 'output'}),
  qr: boolean({summary: 'Show the address as a QR code.', helpGroup: 'output'}),
  ...copyFlag,
};

/** `tunl expose --net`: the upstream is a member. */
const NETWORK_TARGET = {
  net: setting(text('NETWORK'), {
    flag: 'net',
    help: 'TARGET is a port of a member, like trainer:8000.',
  }),
};

export const exposeFlags = {
  ...flagsOf({
    ...PROTOCOL_SETTINGS,
    ...NAME_SETTINGS,
    ...ENDS_SETTINGS,
    ...NETWORK_TARGET,
    ...UPSTREAM_SETTINGS,
  }),
  ...upstreamFlags,
  ...gateFlags,
  ...visitorFlags,
  ...lifeFlags,
  ...relayFlags,
  ...lanFlags,
  ...showFlags,
};

/** For commands whose tunnel always has a port. */
export const remotePortFlag = {
  'remote-port': flagOf({
    ...ENDS_SETTINGS.remotePort,
    help: 'This port instead of a random one. Not with --tls.',
  }),
};

/** A timer of Node runs for at most 24 days; a week is well below that. */
const readyTime = time({minMs: 1, maxMs: 7 * 86_400_000});

/** For commands with a known program. */
const PROGRAM_SETTINGS = {
  bin: setting(file, {flag: 'bin', help: 'This program instead of the one in PATH.'}),
  readyTimeoutMs: setting(readyTime, {flag: 'ready-timeout', help: 'Time until the program answers.'}),
};
export const programFlags = {...flagsOf(PROGRAM_SETTINGS), ...visitorFlags};

/** Flags of commands whose program opens in a browser. */
export const webProgramFlags = {
  ...programFlags,
  ...nameFlags,
  ...gateFlags,
  ...lifeFlags,
  ...relayFlags,
  ...showFlags,
};

/** For `expose … --egress NAME -- COMMAND`, as for `egress run`. */
const ROOM_SETTINGS = {spread: EGRESS_SETTINGS.spread, ...EGRESS_RUN_SETTINGS};
export const roomFlagNames = ['local', 'seal', 'spread'] as const;

export type RoomFlags = {egress: string | undefined} & ValuesOf<typeof ROOM_SETTINGS>;

/** For `expose … -- COMMAND`. */
export const commandFlags = {
  ...flagsOf({
    egress: setting(text('NAME'), {
      flag: 'egress',
      help: 'The command leaves by it alone; see docs/egress.md.',
    }),
    localPorts: {
      ...ROOM_SETTINGS.localPorts,
      help: 'With --egress: a port of this machine; repeatable.',
    },
    readyPath: setting(text('PATH'), {
      defaultText: 'port is open',
      flag: 'ready-path',
      help: 'Ready when GET PATH returns 2xx, 3xx.',
    }),
    readyTimeoutMs: setting(readyTime, {
      defaultText: '60s',
      flag: 'ready-timeout',
      help: 'Time until the command is ready.',
    }),
  }),
  // The help of `expose` is long already.
  ...hidden(flagsOf({spread: ROOM_SETTINGS.spread, seal: ROOM_SETTINGS.seal})),
};

type LifeValues = ValuesOf<typeof LIFE_SETTINGS>;
type ForwardValues = ValuesOf<typeof FORWARD_SETTINGS> & ValuesOf<typeof UPSTREAM_TLS_SETTINGS>;

export type LinkFlags = ValuesOf<typeof LINK_SETTINGS>;

export type TunnelFlags = LifeValues &
  LinkFlags &
  ValuesOf<typeof PROBE_SETTINGS> &
  Partial<ForwardValues> &
  Partial<{[K in keyof typeof showFlags]: boolean}> & {json: boolean | undefined};

/** The flags as options of `forward`. */
export function forwardOptions(flags: TunnelFlags): ForwardOptions {
  const upstreamTls = optionsOf(UPSTREAM_TLS_SETTINGS, flags);
  return {
    ...optionsOf(FORWARD_SETTINGS, flags),
    ...(Object.keys(upstreamTls).length > 0 && {upstreamTls}),
  };
}

/** The settings for the command itself. */
export function lifeSettings(flags: LifeValues) {
  return settle(LIFE_SETTINGS, optionsOf(LIFE_SETTINGS, flags));
}

/** The settings for a known program. */
export function launchOptions(flags: ValuesOf<typeof PROGRAM_SETTINGS>) {
  return optionsOf(PROGRAM_SETTINGS, flags);
}
