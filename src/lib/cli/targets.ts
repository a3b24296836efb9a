// The targets of a command line: their syntax, and how their tunnels are opened.

import {string} from '@oclif/core/args';
import {NAME_SETTINGS} from '../agent/settings-table.js';
import {isReservedName} from '../agent/target.js';
import {portOrTarget, readTarget} from '../agent/upstreams/target.js';
import {TunlError} from '../core/errors.js';
import {forward} from '../forward.js';
import {given} from './flags.js';
import type {Opening} from './tunnel-group.js';
import type {Line} from './wording.js';

export const targetArgs = {
  target: string({
    ignoreStdin: true,
    multiple: true,
    description: 'PORT, HOST:PORT, unix:/path, https://host:port, or a ./folder.',
  }),
};

export interface NamedTarget {
  /** The tunnel's name in the output of this command. */
  name: string;
  /** The name to request from the relay. */
  subdomain: string | undefined;
  /** The target without name and suffix. */
  target: string;
  /** True: a TCP port of the relay, by `:tcp` or --tcp. */
  tcp: boolean;
}

/** Splits `[NAME=]TARGET[:tcp]`. */
export function splitTarget(word: string): {name: string | undefined; target: string; tcp: boolean} {
  const [, name, rest = word] = /^([a-z0-9][a-z0-9-]*)=(.*)$/is.exec(word) ?? [];
  const tcp = rest.endsWith(':tcp');
  return {name, target: tcp ? rest.slice(0, -':tcp'.length) : rest, tcp};
}

const ownName = (name: string | undefined) => (name !== undefined && isReservedName(name) ? undefined : name);

const checkedName = (name: string | undefined) =>
  name === undefined ? undefined : NAME_SETTINGS.subdomain.kind.parse(name);

/**
 * Reads `[NAME=]TARGET[:tcp]`. The flags in `all` apply to every target.
 *
 * @throws TunlError USAGE when two targets have the same name, or one has two names
 */
export function readTargets(
  words: readonly string[],
  all: {tcp: boolean; subdomain: string | undefined},
): NamedTarget[] {
  const targets = words.map((word): NamedTarget => {
    const {name, target, tcp} = splitTarget(word);
    if (name !== undefined && all.subdomain !== undefined)
      throw new TunlError('USAGE', {
        reason: 'NAME= and --subdomain both set the name.',
        next: 'Give one of them.',
      });
    return {
      name: name ?? target,
      // Checked before the first tunnel opens.
      subdomain: checkedName(ownName(name) ?? all.subdomain),
      target,
      tcp: tcp || all.tcp,
    };
  });
  const names = targets.map(({name}) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return targets;
  throw new TunlError('USAGE', {
    reason: `Two targets have the name ${twice}.`,
    next: 'Give one of them another name: NAME=TARGET.',
  });
}

/** Reports a name that relays reserve: the tunnel has that name, but its address has a random one. */
export function noteReserved(targets: readonly NamedTarget[], tell: (line: Line) => void): void {
  for (const {name, subdomain} of targets) {
    if (subdomain === undefined && isReservedName(name))
      tell({tone: 'plain', text: `No address can be called ${name}: it gets a random one.`});
  }
}

/** The flags of the command that apply to each target. */
export interface TargetFlags {
  /** The targets are members of this network. */
  net?: string | undefined;
  tcp?: boolean | undefined;
  'local-host'?: string | undefined;
}

/** @throws TunlError the error in the target */
export function openingOf({name, subdomain, target, tcp}: NamedTarget, flags: TargetFlags): Opening {
  // --local-host applies to bare ports only.
  const host = /^\+?\d+$/.test(target.trim()) ? flags['local-host'] : undefined;
  const place = portOrTarget(target, host);
  return {
    name,
    upstream: readTarget(target, host),
    open: async ({upstreamTls, ...options}) =>
      await forward(place, {
        ...options,
        ...given({host, upstreamTls: speaksTls(place) ? upstreamTls : undefined}),
        unencrypted: tcp,
        ...(subdomain !== undefined && {subdomain}),
        // `:tcp` overrides --h2 for this target.
        ...(tcp && !flags.tcp && {h2: false, http1: false}),
      }),
  };
}

/** The targets of `tunl expose`. @throws TunlError USAGE, or the error in a target */
export function openingsOf(
  words: readonly string[],
  flags: TargetFlags & {tcp: boolean; subdomain: string | undefined; tell: (line: Line) => void},
): Opening[] {
  if (words.length === 0)
    throw new TunlError('USAGE', {reason: '`tunl expose` needs a TARGET, or a command after `--`.'});
  // `tunl expose npm run dev`: several words, and one of them cannot be a target.
  const word = words.length > 1 ? words.find((each) => /^[a-z_][\w-]*$/i.test(each)) : undefined;
  if (word !== undefined) {
    throw new TunlError('USAGE', {
      reason: `${word} is no TARGET.`,
      next: 'Write a command after `--`, and a folder as a path like ./dist.',
    });
  }
  const targets = readTargets(words, flags);
  const openings = targets.map((target) => openingOf(target, flags));
  noteReserved(targets, flags.tell);
  return openings;
}

/** The --upstream-… flags apply to https:// targets only. */
function speaksTls(place: number | string): boolean {
  return /^\s*https:/i.test(String(place));
}
