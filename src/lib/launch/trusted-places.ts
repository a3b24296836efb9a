// Filters the places where the program may answer. Another user of this machine can listen first on one of the two loopback
// addresses, and would get the probes and then the tunnel.
import {listenersAt} from '../core/listening.js';
import {uidsOf} from './proc.js';
import {type Family, membersOf} from './processes.js';
import type {Place} from './ready.js';

/** Keeps places where this user, root or a user of the program listens, and places without any information. */
export async function trustedPlaces(places: readonly Place[], family: Family): Promise<Place[]> {
  const me = process.getuid?.();
  if (process.platform !== 'linux' || me === undefined) return [...places];
  const owners = (await listenersAt(places)).map((socket) => socket?.uid);
  const isPlain = (uid: number | undefined) => uid === undefined || uid === me || uid === 0;
  if (owners.every(isPlain)) return [...places];
  const {group, strays, children} = await membersOf(family);
  const own = new Set((await Promise.all([...group, ...strays, ...children].map(uidsOf))).flat());
  return places.filter((_, i) => isPlain(owners[i]) || own.has(owners[i] ?? -1));
}
