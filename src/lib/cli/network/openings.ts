// The targets of `tunl expose --net`: ports of members, whose tunnels share one membership.

import type {ForwardOptions} from '../../agent/options.js';
import {LINK_SETTINGS} from '../../agent/settings-table.js';
import {TunlError} from '../../core/errors.js';
import type {Network} from '../../network/network.js';
import {noteReserved, readTargets} from '../targets.js';
import {type RoomFlags, roomFlagNames} from '../tunnel-flags.js';
import type {Opening} from '../tunnel-group.js';
import type {Line} from '../wording.js';

export interface MemberTargetFlags extends RoomFlags {
  net: string;
  tcp: boolean;
  subdomain: string | undefined;
  hasCommand: boolean;
  tell: (line: Line) => void;
}

/** `[NAME=]MEMBER:PORT[:tcp]`. @throws TunlError USAGE, NAME_INVALID */
export function memberOpenings(words: readonly string[], flags: MemberTargetFlags): Opening[] {
  if (flags.hasCommand)
    throw new TunlError('USAGE', {reason: 'With --net the TARGET is a member, and no command is started.'});
  for (const flag of ['egress', ...roomFlagNames] as const)
    if (flags[flag])
      throw new TunlError('USAGE', {
        reason: `--${flag} is for a command that is started, and with --net none is.`,
        next: `Leave --net out and give the command after \`--\`, or leave --${flag} out.`,
      });
  if (words.length === 0)
    throw new TunlError('USAGE', {
      reason: '`tunl expose --net` needs a member and its port, like trainer:8000.',
    });
  const targets = readTargets(words, flags);
  const gateway = new Gateway(flags.net);
  noteReserved(targets, flags.tell);
  return targets.map(({name, subdomain, target, tcp}) => ({
    name,
    open: async (options) =>
      await gateway.open(target, {
        ...options,
        unencrypted: tcp,
        ...(subdomain !== undefined && {subdomain}),
        ...(tcp && !flags.tcp && {h2: false, http1: false}),
      }),
  }));
}

/** The membership begins with the first tunnel and ends with the last one. */
class Gateway {
  readonly #network: string;
  #joined: Promise<Network> | undefined;
  #open = 0;

  constructor(network: string) {
    this.#network = network;
  }

  async open(to: string, {signal, ...options}: ForwardOptions) {
    this.#open += 1;
    try {
      this.#joined ??= this.#join(options, signal);
      const network = await this.#joined;
      const tunnel = await network.expose(to, {...options, ...(signal && {signal})});
      void tunnel.closed.catch(() => {}).then(() => this.#left());
      return tunnel;
    } catch (error) {
      await this.#left();
      throw error;
    }
  }

  async #join(options: ForwardOptions, signal: AbortSignal | undefined): Promise<Network> {
    const {openNetwork} = await import('../../network/network.js');
    const connection = Object.keys(LINK_SETTINGS).flatMap((name) => {
      const value = options[name as keyof typeof LINK_SETTINGS];
      return value === undefined ? [] : [[name, value]];
    });
    // The signal ends the opening alone: the membership belongs to the tunnels.
    if (signal?.aborted) throw new TunlError('ABORTED');
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    signal?.addEventListener('abort', abort);
    try {
      return await openNetwork(this.#network, {
        ...Object.fromEntries(connection),
        ...(options.log && {log: options.log}),
        signal: giveUp.signal,
      });
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async #left(): Promise<void> {
    this.#open -= 1;
    if (this.#open > 0) return;
    const joined = this.#joined;
    this.#joined = undefined;
    await joined?.then((network) => network.close()).catch(() => {});
  }
}
