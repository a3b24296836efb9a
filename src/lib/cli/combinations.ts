// Flags that need or exclude each other. Such a combination is an error, because ignoring one flag would give an unexpected tunnel.

import {EMBEDDED} from '../agent/login/contexts.js';
import {TunlError} from '../core/errors.js';
import {
  type LinkFlags,
  type RoomFlags,
  roomFlagNames,
  type TunnelFlags,
  upstreamFlagNames,
} from './tunnel-flags.js';

function refuse(flag: string, why: string, instead: string): never {
  throw new TunlError('USAGE', {reason: `--${flag} ${why}.`, next: `${instead}, or leave --${flag} out.`});
}

/** Checks the flags that all commands with a tunnel share. @throws TunlError USAGE, RELAY_URL_INVALID */
export function checkRelayFlags(flags: LinkFlags): void {
  // `--relay "$UNSET"` in a script must not start the relay inside this process.
  if (flags.relay === '') throw new TunlError('RELAY_URL_INVALID', {reason: '--relay is empty.'});
  const {context} = flags;
  if (flags.relay !== undefined || (context !== undefined && context !== EMBEDDED)) return;
  const instead = 'Give --relay URL or set TUNL_RELAY';
  if (flags['token-file'] !== undefined)
    refuse('token-file', 'is for a relay elsewhere, and none is given', instead);
  // TUNL_CA_FILE may be set for other commands.
  const caFile = flags['ca-file'];
  if (caFile !== undefined && caFile !== process.env.TUNL_CA_FILE)
    refuse('ca-file', 'is for a relay elsewhere, and none is given', instead);
  if (flags.follow !== undefined)
    refuse('follow', 'is about a relay elsewhere, and none is given', 'Give --relay URL');
}

export interface ExposeFlags extends RoomFlags, Pick<TunnelFlags, (typeof upstreamFlagNames)[number]> {
  tcp: boolean;
  h2: boolean;
  http1: boolean;
  'remote-port': number | undefined;
  'local-host': string | undefined;
  'ready-path': string | undefined;
  'ready-timeout': number | undefined;
  subdomain: string | undefined;
}

/** Flags that are about one TARGET, and what says the same of one among several. */
const OF_ONE = {
  subdomain: 'Write NAME=TARGET',
  'remote-port': 'Give one TARGET',
} as const;

/** Checks the flags of `tunl expose`. @throws TunlError USAGE */
export function checkExposeFlags(
  flags: ExposeFlags,
  {targets, hasCommand}: {targets: readonly string[]; hasCommand: boolean},
): void {
  if (hasCommand && targets.length > 1)
    throw new TunlError('USAGE', {reason: 'A command opens one port, and more than one TARGET is given.'});
  if (targets.length > 1)
    for (const [flag, instead] of Object.entries(OF_ONE))
      if (flags[flag as keyof typeof OF_ONE]) refuse(flag, 'is for one TARGET', instead);
  if (flags.http1 && !flags.h2) refuse('http1', 'is offered anyway without --h2', 'Add --h2');
  if (flags['remote-port'] !== undefined && !flags.tcp)
    refuse('remote-port', 'is a port of the relay for a TCP tunnel', 'Add --tcp');
  if (flags['local-host'] !== undefined && targets.some((target) => /[^:]:|[/\\]|^\.+$/.test(target)))
    refuse('local-host', 'is for a TARGET without a host', 'Give the port alone');
  if (!targets.some((target) => /^\s*https:/i.test(target))) {
    for (const flag of upstreamFlagNames)
      if (flags[flag])
        refuse(flag, 'is for a TARGET that is an https:// URL', 'Write it like https://localhost:8443');
  }
  checkRoomFlags(flags, {targets, hasCommand});
  if (hasCommand) return;
  for (const flag of ['ready-path', 'ready-timeout'] as const)
    if (flags[flag] !== undefined)
      refuse(flag, 'is about a command that is started', 'Give the command after `--`');
}

/** @throws TunlError USAGE */
function checkRoomFlags(
  {egress: name, ...flags}: RoomFlags,
  {targets, hasCommand}: {targets: readonly string[]; hasCommand: boolean},
): void {
  if (name === undefined) {
    for (const flag of roomFlagNames)
      if (flags[flag]) refuse(flag, 'is about a command behind an egress', 'Add --egress NAME');
    return;
  }
  if (name === '')
    throw new TunlError('USAGE', {
      reason: '--egress is empty.',
      next: 'Give --egress NAME; `tunl egress list` shows the names.',
    });
  if (!hasCommand)
    refuse('egress', 'is for a command that is started', 'Give the command after `--`, like -- npm run dev');
  const other = targets.find((target) => !/^\s*(?:[^/\\]+:)?\+?\d+\s*$/.test(target));
  if (other !== undefined)
    throw new TunlError('USAGE', {
      reason: `With --egress the command has a network of its own, and ${other} is not a port in it.`,
      next: 'Give the port of the command alone, like 3000.',
    });
  const both = flags.local?.find((port) =>
    targets.some((target) => Number(/\d+\s*$/.exec(target)?.[0]) === port),
  );
  if (both !== undefined)
    throw new TunlError('USAGE', {
      reason: `--local ${both} is a port of this machine, and ${both} is the port of the command.`,
      next: 'Let the command open another port.',
    });
}
