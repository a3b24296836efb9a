// The egresses of a relay that a token may use.

import {TunlError} from '../core/errors.js';
import type {RelayLink} from '../open-link.js';

export interface EgressAddress {
  address: string;
  /** False: the relay cannot bind it now, and sends nothing by it. */
  healthy: boolean;
}

export interface EgressInfo {
  name: string;
  addresses: EgressAddress[];
}

/** @throws TunlError RELAY_LACKS_FEATURE, NOT_ALLOWED, or the reason why there is no answer */
export async function listEgresses(link: RelayLink, signal?: AbortSignal): Promise<EgressInfo[]> {
  const answer = await link.ask({service: 'egress'}, signal === undefined ? {} : {signal});
  const infos = readInfos(answer);
  if (infos === undefined)
    throw new TunlError('RELAY_LOST', {reason: 'The relay’s list of egresses cannot be read.'});
  return infos;
}

function readInfos(answer: unknown): EgressInfo[] | undefined {
  const {egresses} = (answer ?? {}) as {egresses?: unknown};
  if (!Array.isArray(egresses)) return undefined;
  const infos = egresses.map(readInfo);
  return infos.every((info) => info !== undefined) ? infos : undefined;
}

function readInfo(value: unknown): EgressInfo | undefined {
  const {name, addresses} = (value ?? {}) as {name?: unknown; addresses?: unknown};
  if (typeof name !== 'string' || !Array.isArray(addresses)) return undefined;
  const read = addresses.map((each: unknown): EgressAddress | undefined => {
    const {address, healthy} = (each ?? {}) as {address?: unknown; healthy?: unknown};
    return typeof address === 'string' && typeof healthy === 'boolean' ? {address, healthy} : undefined;
  });
  return read.every((each) => each !== undefined) ? {name, addresses: read} : undefined;
}
