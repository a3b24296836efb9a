// Finds idle visitors by a check once a second, so that no counting is needed on the path of each byte.

import type {Clock, Timer} from '../../core/clock.js';
import type {StreamCode} from '../../protocol/wire.js';
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

interface Watched {
  readonly visitor: WatchedVisitor;
  moved: number;
  movedAt: number;
}

export interface VisitorWatchOptions {
  clock: Clock;
  /** Undefined: no visitor is ended for being idle. */
  idleTimeoutMs: number | undefined;
  isTrusted: TrustCheck;
}

export class VisitorWatch {
  readonly #options: VisitorWatchOptions;
  readonly #watched = new Map<WatchedVisitor, Watched>();
  /** The visitors of each source; the longest idle ones are first, as of the last check. */
  readonly #sources: BySource<Watched>;
  #timer: Timer | undefined;

  constructor(options: VisitorWatchOptions) {
    this.#options = options;
    this.#sources = new BySource(options.clock);
    this.#lookLater();
  }

  add(visitor: WatchedVisitor): void {
    const watched = {visitor, moved: 0, movedAt: this.#options.clock.now()};
    this.#watched.set(visitor, watched);
    this.#sources.add(visitor.peer.source, watched, 1);
  }

  delete(visitor: WatchedVisitor): void {
    const watched = this.#watched.get(visitor);
    if (watched === undefined) return;
    this.#watched.delete(visitor);
    this.#sources.delete(visitor.peer.source, watched, 1);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * Ends the visitor of the heaviest source that has moved no byte for longest, to make room for one of `peer`'s source.
   * False: nobody has to give way. A source that has much less always gets room; others only in place of visitors that
   * have long been silent, since they may be as honest as the new one.
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
  #idlestOf(members: ReadonlySet<Watched>): Watched {
    let first: Watched | undefined;
    let tries = MOST_TRIES;
    for (const watched of members) {
      first ??= watched;
      if (!this.#lookAt(watched)) return watched;
      tries -= 1;
      if (tries === 0) break;
    }
    return first as Watched;
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
    for (const watched of this.#watched.values()) {
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
    const members = this.#sources.get(peer.source)?.members;
    members?.delete(watched);
    members?.add(watched);
    return true;
  }
}
