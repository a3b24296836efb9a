// The network of a command behind a tunnel whose only way out is an egress.

import type {ForwardOptions} from '../../agent/options.js';
import {LINK_SETTINGS} from '../../agent/settings-table.js';
import {TunlError} from '../../core/errors.js';
import {addressesOf, EgressClient} from '../../egress/client.js';
import {openEgressSeal, udpOf} from '../../egress/run.js';
import type {Room} from '../../launch/room.js';
import {openLink, type RelayLink} from '../../open-link.js';
import {sealLost} from '../../seal/run-sealed.js';
import type {Presenter} from '../presenter.js';
import {carriage} from '../sealed-event.js';
import type {RoomFlags} from '../tunnel-flags.js';

/** Opens it with the relay of the tunnel, by a link of its own. The tunnel's link reports about the relay. */
export function roomBehind(
  flags: RoomFlags & {egress: string},
  presenter: Pick<Presenter, 'event' | 'log'>,
): (options: ForwardOptions) => Promise<Room> {
  return async (options) => {
    const giveUp = new AbortController();
    const signal = options.signal ?? giveUp.signal;
    const linking = openLink({...connectionOf(options), log: options.log, signal: giveUp.signal});
    linking.catch(() => {});
    const abort = () => giveUp.abort();
    signal.addEventListener('abort', abort, {once: true});
    try {
      if (signal.aborted) throw new TunlError('ABORTED');
      return await openRoom(flags, linking, {presenter, signal});
    } catch (error) {
      // It ends the start of the link.
      giveUp.abort();
      throw signal.aborted ? new TunlError('ABORTED', {cause: error}) : error;
    } finally {
      // The signal is about the start alone.
      signal.removeEventListener('abort', abort);
    }
  };
}

async function openRoom(
  {egress: name, spread, local, seal: level}: RoomFlags & {egress: string},
  linking: Promise<RelayLink>,
  {presenter, signal}: {presenter: Pick<Presenter, 'event' | 'log'>; signal: AbortSignal},
): Promise<Room> {
  const lost = new AbortController();
  let addresses: string[] = [];
  const opening = linking.then(async (link) => {
    addresses = await addressesOf(link, name, signal);
    return new EgressClient(link, {egress: name, spread});
  });
  const seal = await openEgressSeal(opening, {
    localPorts: local,
    strict: level === 'strict',
    log: presenter.log,
    onNotice: ({code, message}) => presenter.event({type: 'notice', code, message}),
    onLost: () => lost.abort(),
    signal,
  });
  const udp = carriage(udpOf(seal, await opening));
  presenter.event({type: 'sealed', seal: level ?? 'network', ...udp, egress: name, addresses});
  return {
    prefix: (cwd) => seal.prefix({cwd}),
    waits: seal.ownProcesses,
    dial: (port, until) => seal.dialInside({port, signal: until}),
    get error() {
      return seal.lostBecause === undefined ? undefined : sealLost(seal.lostBecause);
    },
    lost: lost.signal,
    close: async () => {
      await seal.close();
      await (await linking).close();
    },
  };
}

function connectionOf(options: ForwardOptions): Partial<ForwardOptions> {
  return Object.fromEntries(
    Object.keys(LINK_SETTINGS).flatMap((name) => {
      const value = options[name as keyof typeof LINK_SETTINGS];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
