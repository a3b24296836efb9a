// Finds idle visitors with a check once a second, so the path of each byte needs no counting.

import type {Clock, Timer} from '../../core/clock.js';
import type {LinkedList, ListNode} from '../../core/linked-list.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {BySource} from './by-source.js';
import type {Peer} from './peer.js';
import type {TrustCheck} from './trusted.js';

const LOOK_EVERY_MS = 1_000;
/** A visitor makes room for another one of its own source only after this long without a byte, ms. */
const OWN_SOURCE_MS = 60_000;
/** The most visitors that are checked when one must make room. */
const MOST_TRIES = 32;

export interface WatchedVisitor {
  readonly stream: {readonly bytesIn: number; readonly bytesOut: number};
  readonly peer: Peer;
  cut(code: StreamCode): void;
}

/** A watched visitor: the handle for `delete`. */
export interface Watched {
  readonly visitor: WatchedVisitor;
  node: ListNode<Watched> | undefined;
  moved: number;
  movedAt: number;
}

export interface VisitorWatchOptions {
  clock: Clock;
  /** Undefined: no visitor is ended for being idle. */
  idleTimeoutMs: number | undefined;
  isTrusted: TrustCheck;
}

export class VisitorWatch implements Part {
  #options: VisitorWatchOptions;
  /** The visitors of each source; the longest idle ones are first, as of the last check. */
  readonly #sources: BySource<Watched>;
  #timer: Timer | undefined;

  constructor(options: VisitorWatchOptions) {
    this.#options = options;
    this.#sources = new BySource(options.clock);
    this.#lookLater();
  }

  add(visitor: WatchedVisitor): Watched {
    const movedAt = this.#options.clock.now();
    const watched: Watched = {visitor, node: undefined, moved: 0, movedAt};
    watched.node = this.#sources.add(visitor.peer.source, watched, 1);
    return watched;
  }

  delete({visitor, node}: Watched): void {
    if (node !== undefined) this.#sources.delete(visitor.peer.source, node, 1);
  }

  *all(): Generator<Watched> {
    yield* this.#sources.members();
  }

  reload({visitorIdleTimeoutMs: idleTimeoutMs}: Pick<RelaySettings, 'visitorIdleTimeoutMs'>): void {
    this.#options = {...this.#options, idleTimeoutMs};
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * Ends the visitor of the heaviest source that has moved no byte for the longest time, to make room for one of `peer`'s
   * source. False: no visitor has to make room. A source that has much less always gets room; others only in place of
   * visitors that have long been silent, because those may be as honest as the new one.
   */
  makeRoom(peer: Peer): boolean {
    const heaviest = this.#sources.heaviest();
    if (heaviest === undefined) return false;
    const idlest = this.#idlestOf(heaviest.members);
    const mine = this.#sources.get(peer.source)?.weight ?? 0;
    const muchLess =
      2 * (mine + 1) <= heaviest.weight && !this.#options.isTrusted(idlest.visitor.peer.address);
    if (!muchLess && this.#options.clock.now() - idlest.movedAt < OWN_SOURCE_MS) return false;
    idlest.visitor.cut('VISITOR_IDLE');
    return true;
  }

  /** The first visitor that has not moved since the last check; if the first few have all moved, any of them. */
  #idlestOf(members: LinkedList<Watched>): Watched {
    const oldest = members.first as Watched;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const watched = members.first as Watched;
      if (!this.#lookAt(watched)) return watched;
    }
    return oldest;
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#look();
      this.#lookLater();
    });
  }

  #look(): void {
    const {clock, idleTimeoutMs} = this.#options;
    const now = clock.now();
    for (const watched of [...this.#sources.members()]) {
      this.#lookAt(watched);
      if (idleTimeoutMs !== undefined && now - watched.movedAt >= idleTimeoutMs)
        watched.visitor.cut('VISITOR_IDLE');
    }
  }

  /** True when it has moved since the last check. */
  #lookAt(watched: Watched): boolean {
    const {stream, peer} = watched.visitor;
    const moved = stream.bytesIn + stream.bytesOut;
    if (moved === watched.moved) return false;
    watched.moved = moved;
    watched.movedAt = this.#options.clock.now();
    // The visitor goes to the end of the queue.
    if (watched.node !== undefined) this.#sources.get(peer.source)?.members.moveToEnd(watched.node);
    return true;
  }
}
