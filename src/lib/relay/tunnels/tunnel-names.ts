// The names that a tunnel may have: those that the rights of its agent allow and that are not reserved, and random ones.

import {TunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import {checkLabel, isRandomLabel} from '../../protocol/names.js';
import type {Rights} from '../access/rights.js';
import {type Asked, checkKey, checkRandomName} from '../access/tunnel-rights.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {newNamesKey, openNamesKey} from './names-key.js';
import {RandomNames} from './random-names.js';
import {ReservedNames, type ReservedNamesOptions} from './reserved-names.js';

/** Draws until a name is not reserved. A pattern of the operator like `*q*` is in every second one. */
const MOST_DRAWS = 50;

export interface TunnelNamesOptions extends ReservedNamesOptions {
  /** The key of the random names. Default: they are known while this process runs. */
  key?: Buffer | undefined;
}

export interface TunnelName {
  readonly label: string;
  /** The relay has drawn it, now or earlier. */
  readonly isRandom: boolean;
}

/** @param key the same in all processes of a relay. Default: that of the state folder. @throws TunlError STATE_DIR */
export async function openTunnelNames(
  settings: RelaySettings,
  {key, log}: {key: Buffer | undefined; log: Logger},
): Promise<TunnelNames> {
  return new TunnelNames({...settings, key: key ?? (await openNamesKey(settings, log))});
}

export class TunnelNames implements Part {
  readonly #reserved: ReservedNames;
  readonly #random: RandomNames;

  constructor({key = newNamesKey(), ...options}: TunnelNamesOptions) {
    this.#reserved = new ReservedNames(options);
    this.#random = new RandomNames(key);
  }

  /** Differs when other names are reserved than before. */
  get edition(): number {
    return this.#reserved.edition;
  }

  reload(settings: Pick<RelaySettings, 'reservedNames'>): void {
    this.#reserved.reload(settings);
  }

  /** @throws TunlError NAME_RESERVED, NOT_ALLOWED when an agent with these rights may not have this tunnel. */
  check(asked: Asked, rights: Rights): void {
    const {key} = asked;
    if (key.startsWith('tls:')) this.#reserved.check(key.slice(4), rights);
    checkKey(rights, asked);
  }

  /** Exactly this name. @throws TunlError NAME_INVALID, NAME_RESERVED, NOT_ALLOWED */
  wanted(label: string, rights: Rights): TunnelName {
    const check = checkLabel(label);
    if (!check.ok && check.code === 'NAME_INVALID') throw new TunlError(check.code, {reason: check.reason});
    const isRandom = this.#random.has(label);
    this.check({key: `tls:${label}`, isRandom}, rights);
    return {label, isRandom};
  }

  /** The random name of an earlier tunnel. Undefined: the agent may not have it, or it is none. */
  preferred(label: string, rights: Rights): TunnelName | undefined {
    if (!isRandomLabel(label)) return undefined;
    try {
      return this.wanted(label, rights);
    } catch (error) {
      if (error instanceof TunlError) return undefined;
      throw error;
    }
  }

  /** A new random name that nobody would take for a reserved one. @throws TunlError NOT_ALLOWED, BIND_REFUSED */
  draw(rights: Rights): TunnelName {
    checkRandomName(rights);
    for (let draws = 0; draws < MOST_DRAWS; draws += 1) {
      const label = this.#random.draw();
      if (this.#reserved.allows(label, rights)) return {label, isRandom: true};
    }
    throw new TunlError('BIND_REFUSED', {reason: 'Nearly all random names are reserved at this relay.'});
  }
}
