// A member of a network for the time of a command: it joins, says who comes and goes, and leaves.

import type {Member} from '../../network/member.js';
import type {Network, NetworkEvent, NetworkOptions} from '../../network/network.js';
import {hold} from '../hold.js';
import type {Presenter} from '../presenter.js';
import {memberEvent} from './events.js';

export interface HoldNetworkOptions {
  readonly network: string;
  readonly options: NetworkOptions;
  readonly presenter: Presenter;
  /** Called when it is a member. What it opens ends with the membership. */
  readonly onOpen: (member: Network) => void | Promise<void>;
}

export async function holdNetwork({network, options, presenter, onOpen}: HoldNetworkOptions): Promise<void> {
  await hold({
    drainTimeoutMs: 0,
    onReaderGone: presenter.readerGone,
    onLeave: () => presenter.end(),
    open: async (signal) => {
      presenter.begin('joining the network');
      const {openNetwork} = await import('../../network/network.js');
      const changes = new Changes(network, presenter);
      const onEvent = (event: NetworkEvent) => {
        if (event.type === 'members') changes.show(event.members);
        else if (event.type === 'member-failed') presenter.event({...event, network});
        else presenter.event(event);
      };
      const member = await openNetwork(network, {...options, signal, onEvent, log: presenter.log});
      changes.begin(member);
      try {
        await onOpen(member);
      } catch (error) {
        await member.close();
        throw error;
      }
      return {closed: member.closed, close: () => member.close()};
    },
  });
}

/** Says which members come and go, after those that were there before. */
class Changes {
  readonly #network: string;
  readonly #presenter: Presenter;
  #known: ReadonlyMap<string, Member> | undefined;

  constructor(network: string, presenter: Presenter) {
    this.#network = network;
    this.#presenter = presenter;
  }

  begin({members}: Network): void {
    this.#known = byAddress(members);
  }

  show(members: readonly Member[]): void {
    const before = this.#known;
    if (before === undefined) return;
    const now = byAddress(members);
    this.#known = now;
    for (const [address, member] of now)
      if (!before.has(address)) this.#presenter.event(memberEvent(this.#network, member, 'came'));
    for (const [address, member] of before)
      if (!now.has(address)) this.#presenter.event(memberEvent(this.#network, member, 'gone'));
  }
}

const byAddress = (members: readonly Member[]) => new Map(members.map((member) => [member.address, member]));
