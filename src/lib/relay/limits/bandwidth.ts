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

/** The tunnel of a connection, or the owner alone of one that belongs to no tunnel. */
export interface Limited {
  readonly key?: string;
  readonly principal: Pick<Principal, 'owner' | 'limits'>;
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
  readonly by: {principal: Limited['principal']};
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
  of({key, principal}: Limited): Bandwidth | undefined {
    const {bytesPerSecond, bytesPerSecondPerOwner, bytesPerSecondPerTunnel} = this.#settings;
    const {owner, limits} = principal;
    const names = [
      ...(bytesPerSecondPerTunnel === undefined || key === undefined ? [] : [`tunnel ${key}`]),
      ...((limits.bytesPerSecond ?? bytesPerSecondPerOwner) === undefined ? [] : [`owner ${owner}`]),
      ...(bytesPerSecond === undefined ? [] : ['relay']),
    ];
    if (names.length === 0 || this.#over) return undefined;
    const used = names.map((name) => this.#take(name, principal));
    return {
      rates: used.map(({rate}) => rate),
      release: () => {
        for (const name of names) this.#release(name);
      },
    };
  }

  #take(name: string, principal: Limited['principal']): Used {
    const used = this.#used.get(name) ?? this.#begin(name, principal);
    used.by.principal = principal;
    used.users += 1;
    return used;
  }

  #begin(name: string, principal: Limited['principal']): Used {
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
