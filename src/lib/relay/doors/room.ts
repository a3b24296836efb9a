// Decides whether this process has room for one more connection or visitor, and which one must make room.

import type {Clock} from '../../core/clock.js';
import type {RelayEvents} from '../events.js';
import type {Peer} from './peer.js';
import {RepeatLog} from './repeat-log.js';

export interface RoomOptions {
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  descriptors: {readonly noneForVisitors: boolean; readonly noneForConnections: boolean};
  /** The memory of idle visitors. */
  idleBytes: () => number;
  mostBytes: number;
  watch: {makeRoom(peer: Peer): boolean};
}

/** The share of the process's memory for idle visitors. */
export const SHARE_OF_MEMORY = 1 / 2;

export class Room {
  readonly #options: RoomOptions;
  readonly #full: RepeatLog;

  constructor(options: RoomOptions) {
    const {clock, events} = options;
    this.#options = options;
    this.#full = new RepeatLog({
      clock,
      write: (line) => events.emit({type: 'turned-away', because: 'no-room', ...line}),
    });
  }

  /** True when no descriptor is free for a connection with an unknown purpose; agents use it as well. */
  get noneForConnections(): boolean {
    return this.#options.descriptors.noneForConnections;
  }

  /** True when no descriptor is free for a connection that the relay itself makes. */
  readonly noneForEgress = (): boolean => this.#options.descriptors.noneForVisitors;

  /** Returns false when this visitor must go. With true, another visitor may have been ended. */
  forVisitor(peer: Peer): boolean {
    const {descriptors, idleBytes, mostBytes, watch} = this.#options;
    if (!descriptors.noneForVisitors && idleBytes() < mostBytes) return true;
    if (watch.makeRoom(peer)) return true;
    this.refused(peer);
    return false;
  }

  /** Reports the refusal as an event. */
  refused({address}: Peer): void {
    this.#full.note(address);
  }

  close(): void {
    this.#full.close();
  }
}
