// Several targets of one command: how each is written, and their tunnels as one thing that is held.

import {string} from '@oclif/core/args';
import type {TunnelEvent} from '../agent/events.js';
import type {ForwardOptions, Tunnel} from '../agent/options.js';
import {isReservedName} from '../agent/target.js';
import {portOrTarget} from '../agent/upstreams/target.js';
import {TunlError} from '../core/errors.js';
import {forward} from '../forward.js';
import {given} from './flags.js';
import type {Closable} from './hold.js';
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
  /** The name that was asked for. */
  subdomain: string | undefined;
  /** As it was written, without name and suffix. */
  target: string;
  tcp: boolean;
}

/** `[NAME=]TARGET[:tcp]` in its parts. */
export function splitTarget(word: string): {name: string | undefined; target: string; tcp: boolean} {
  const [, name, rest = word] = /^([a-z0-9][a-z0-9-]*)=(.*)$/is.exec(word) ?? [];
  const tcp = rest.endsWith(':tcp');
  return {name, target: tcp ? rest.slice(0, -':tcp'.length) : rest, tcp};
}

const ownName = (name: string | undefined) => (name !== undefined && isReservedName(name) ? undefined : name);

/**
 * `[NAME=]TARGET[:tcp]`. `all`: what flags say of all of them.
 * @throws TunlError USAGE when two would be called the same, or one has two names
 */
export function readTargets(
  words: readonly string[],
  all: {tcp: boolean; subdomain: string | undefined},
): NamedTarget[] {
  const targets = words.map((word): NamedTarget => {
    const {name, target, tcp} = splitTarget(word);
    if (name !== undefined && all.subdomain !== undefined)
      throw new TunlError('USAGE', {
        reason: 'NAME= and --subdomain both name it.',
        next: 'Give one of them.',
      });
    return {
      name: name ?? target,
      subdomain: ownName(name) ?? all.subdomain,
      target,
      tcp: tcp || all.tcp,
    };
  });
  const names = targets.map(({name}) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return targets;
  throw new TunlError('USAGE', {
    reason: `Two targets are called ${twice}.`,
    next: 'Give one of them another name: NAME=TARGET.',
  });
}

type OnEvent = NonNullable<ForwardOptions['onEvent']>;

/** Of one of several tunnels: with its name. Of the link that they share: without, and once. */
export function tagged(onEvent: (event: TunnelEvent & {tunnel?: string}) => void): (name: string) => OnEvent {
  const told = new WeakSet<TunnelEvent>();
  return (name) => (event, of) => {
    if (of !== 'link') return onEvent({...event, tunnel: name});
    if (!told.has(event)) onEvent(event);
    told.add(event);
  };
}

interface OfAll {
  tcp: boolean;
  subdomain: string | undefined;
  'local-host': string | undefined;
  tell: (line: Line) => void;
}

/**
 * What opens them: one by itself, several one after the other, in the order of the command line. When one of several cannot be
 * had, those before it are ended.
 * @throws TunlError USAGE, or what is wrong with a target
 */
export function openerOf(
  words: readonly string[],
  flags: OfAll,
): (options: ForwardOptions) => Promise<Tunnel | Several> {
  if (words.length === 0)
    throw new TunlError('USAGE', {reason: '`tunl expose` needs a TARGET, or a command after `--`.'});
  // `tunl expose npm run dev`: more than one word, and one that can be no target.
  const word = words.length > 1 ? words.find((each) => /^[a-z_][\w-]*$/i.test(each)) : undefined;
  if (word !== undefined) {
    throw new TunlError('USAGE', {
      reason: `${word} is no TARGET.`,
      next: 'Write a command after `--`, and a folder as a path like ./dist.',
    });
  }
  const targets = readTargets(words, flags).map((target) => ({
    ...target,
    place: portOrTarget(target.target, flags['local-host']),
  }));
  return async ({upstreamTls, ...options}) => {
    const onEventOf = targets.length > 1 ? tagged(options.onEvent ?? (() => {})) : undefined;
    const tunnels: Tunnel[] = [];
    for (const {name, subdomain} of targets) {
      // What the relay keeps for itself may still be what a tunnel is called here.
      if (subdomain === undefined && isReservedName(name))
        flags.tell({tone: 'plain', text: `No address can be called ${name}: it gets a random one.`});
    }
    try {
      for (const {name, subdomain, tcp, place} of targets) {
        const tunnel = await forward(place, {
          ...options,
          ...given({host: flags['local-host'], upstreamTls: speaksTls(place) ? upstreamTls : undefined}),
          unencrypted: tcp,
          ...(subdomain !== undefined && {subdomain}),
          ...(onEventOf !== undefined && {onEvent: onEventOf(name)}),
        });
        tunnels.push(tunnel);
      }
    } catch (error) {
      await Promise.all(tunnels.map((tunnel) => tunnel.close()));
      throw error;
    }
    const [only, ...more] = tunnels;
    return only !== undefined && more.length === 0 ? only : new Several(tunnels);
  };
}

/** The --upstream-… flags are for those of the targets that they can be for. */
function speaksTls(place: number | string): boolean {
  return /^\s*https:/i.test(String(place));
}

export class Several implements Closable {
  /** Settles when all have ended; rejects with what ended the first that failed. */
  readonly closed: Promise<void>;
  readonly #tunnels: readonly Tunnel[];

  constructor(tunnels: readonly Tunnel[]) {
    this.#tunnels = tunnels;
    this.closed = this.#allClosed();
    this.closed.catch(() => {});
  }

  get rttMs(): number | undefined {
    return this.#tunnels.map(({rttMs}) => rttMs).find((rttMs) => rttMs !== undefined);
  }

  get traffic(): {bytesIn: number; bytesOut: number} {
    const sum = {bytesIn: 0, bytesOut: 0};
    for (const {traffic} of this.#tunnels) {
      sum.bytesIn += traffic.bytesIn;
      sum.bytesOut += traffic.bytesOut;
    }
    return sum;
  }

  async close(options: {drainTimeoutMs: number}): Promise<void> {
    await Promise.all(this.#tunnels.map((tunnel) => tunnel.close(options)));
  }

  destroy(): void {
    for (const tunnel of this.#tunnels) tunnel.destroy();
  }

  async #allClosed(): Promise<void> {
    const ends = await Promise.allSettled(this.#tunnels.map(({closed}) => closed));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}
