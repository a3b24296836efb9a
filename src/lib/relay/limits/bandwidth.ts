// The bandwidth of the relay, of owners and of tunnels: finds the limits for a visitor's connection, if it has any.

import {Rate} from '../../bytes/pace.js';
import type {Clock} from '../../core/clock.js';
import type {Principal} from '../access/principal.js';
import type {Part} from '../part.js';
import type {LimitSettings} from './limit-settings.js';

type BandwidthSettings = Pick<
  LimitSettings,
  'bytesPerSecond' | 'bytesPerSecondPerOwner' | 'bytesPerSecondPerTunnel'
>;

export interface BandwidthOptions {
  settings: BandwidthSettings;
  clock: Clock;
  /** The part of the limits of the relay and of owners that this process has. Default 1: it is the only one. */
  share?: number;
}

type Whose = Pick<Principal, 'owner' | 'limits'>;

/** The tunnel of a connection, or the owner alone of one that belongs to no tunnel. */
export interface Limited {
  readonly key?: string;
  readonly principal: Whose;
  /** The owner at the other end, for a connection between two agents. */
  readonly peer?: Whose | undefined;
  /** Another process of this relay counts the bytes for the relay. */
  readonly isCountedElsewhere?: boolean;
}

/** The limits of one connection. */
export interface Bandwidth {
  readonly rates: readonly Rate[];
  /** The connection is over. */
  release(): void;
}

interface Used {
  readonly rate: Rate;
  /** The principal of the last connection that began. Its limits are read at each use, because they change. */
  readonly by: {principal: Whose};
  users: number;
  isForgotten: boolean;
}

export class Bandwidths implements Part {
  readonly #options: BandwidthOptions;
  #settings: BandwidthSettings;
  readonly #used = new Map<string, Used>();
  #over = false;

  constructor(options: BandwidthOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  reload(settings: BandwidthSettings): void {
    this.#settings = settings;
  }

  close(): void {
    this.#over = true;
    for (const {rate} of this.#used.values()) rate.close();
    this.#used.clear();
  }

  /** Undefined: nothing limits it. */
  of({key, principal, peer, isCountedElsewhere}: Limited): Bandwidth | undefined {
    const {bytesPerSecond, bytesPerSecondPerOwner, bytesPerSecondPerTunnel} = this.#settings;
    const names = new Map<string, Whose>();
    if (bytesPerSecondPerTunnel !== undefined && key !== undefined) names.set(`tunnel ${key}`, principal);
    for (const whose of peer === undefined ? [principal] : [principal, peer])
      if ((whose.limits.bytesPerSecond ?? bytesPerSecondPerOwner) !== undefined)
        names.set(`owner ${whose.owner}`, whose);
    if (bytesPerSecond !== undefined && isCountedElsewhere !== true) names.set('relay', principal);
    if (names.size === 0 || this.#over) return undefined;
    const used = [...names].map(([name, whose]) => this.#take(name, whose));
    return {
      rates: used.map(({rate}) => rate),
      release: () => {
        for (const name of names.keys()) this.#release(name);
      },
    };
  }

  #take(name: string, principal: Whose): Used {
    const used = this.#used.get(name) ?? this.#begin(name, principal);
    used.by.principal = principal;
    used.users += 1;
    return used;
  }

  #begin(name: string, principal: Whose): Used {
    const by = {principal};
    const bytesPerSecond = () => this.#limit(name, by.principal.limits);
    const used = {
      rate: new Rate({clock: this.#options.clock, bytesPerSecond}),
      by,
      users: 0,
      isForgotten: false,
    };
    this.#used.set(name, used);
    return used;
  }

  #limit(name: string, own: Principal['limits']): number | undefined {
    const {share = 1} = this.#options;
    const {bytesPerSecond, bytesPerSecondPerOwner, bytesPerSecondPerTunnel} = this.#settings;
    if (name.startsWith('tunnel ')) return bytesPerSecondPerTunnel;
    const whole = name === 'relay' ? bytesPerSecond : (own.bytesPerSecond ?? bytesPerSecondPerOwner);
    return whole === undefined ? undefined : whole * share;
  }

  /** Bytes that passed too early are made up for before the limit is forgotten, also by connections that are short. */
  #release(name: string): void {
    const used = this.#used.get(name);
    if (used === undefined) return;
    used.users -= 1;
    if (used.users > 0 || used.isForgotten) return;
    used.isForgotten = true;
    this.#options.clock.after(used.rate.waitMs, () => {
      used.isForgotten = false;
      if (used.users === 0) this.#used.delete(name);
    });
  }
}
