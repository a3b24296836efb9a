// The rendezvous of members: each belongs to a member stream, and lives as long as that. Both members come with a TCP connection
// each, and the relay joins these.

import type {Rate} from '../../bytes/pace.js';
import {stopReading} from '../../bytes/reading.js';
import {resetSocket} from '../../bytes/reset.js';
import {type PipeEnd, SocketPipe} from '../../bytes/socket-pipe.js';
import {SocketReads} from '../../bytes/socket-reads.js';
import type {StreamJoin} from '../../bytes/stream-join.js';
import type {UnreadLimit} from '../../bytes/unread-limit.js';
import type {Clock, Timer} from '../../core/clock.js';
import {BlockPool} from '../../mux/blocks.js';
import {
  behindHello,
  newRendezvousId,
  RENDEZVOUS_SIDES,
  type RendezvousPlace,
  type RendezvousSide,
} from '../../protocol/rendezvous.js';
import type {Load} from '../doors/load.js';
import type {PendingConnection} from '../doors/pending-connection.js';
import {Counts} from '../limits/counts.js';
import type {Part} from '../part.js';

/** Of this process, each with two connections; and of one owner. */
const MOST = 1_024;
const MOST_OF_OWNER = 128;
/** Until both have come, ms. */
const COME_MS = 10_000;
/** The end of the stream may overtake the last bytes of the connections, ms. */
const LAST_BYTES_MS = 1_000;

export interface RendezvousOptions {
  /** The number of this process; 0 when it is the only one. */
  worker: number;
  unread: Pick<UnreadLimit, 'add' | 'delete'>;
  load: Pick<Load, 'add'>;
  /** False: there are no descriptors left for connections that can be done without. */
  hasRoom: () => boolean;
  clock: Clock;
}

/** The bytes from each member so far. */
export interface RendezvousBytes {
  fromOpener: number;
  fromTarget: number;
}

interface Rendezvous {
  readonly join: StreamJoin;
  rates: readonly Rate[];
  readonly came: Map<RendezvousSide, PipeEnd>;
  readonly timer: Timer;
  pipe: SocketPipe | undefined;
  /** Ends the stream when a connection is gone before both have come. */
  readonly gone: () => void;
}

export class RendezvousTable implements Part {
  readonly #options: RendezvousOptions;
  readonly #all = new Map<string, Rendezvous>();
  readonly #ofOwners = new Counts();
  /** With those whose last bytes are on their way. */
  #count = 0;
  /** Made with the first one. */
  #reads: SocketReads | undefined;

  constructor(options: RendezvousOptions) {
    this.#options = options;
    options.load.add({connections: () => 2 * this.#count});
  }

  /** A rendezvous for the members of this join, until that is over. Undefined: there are too many. */
  open(join: StreamJoin, owner: string): string | undefined {
    const {worker, hasRoom, clock} = this.#options;
    if (this.#count >= MOST || this.#ofOwners.of(owner) >= MOST_OF_OWNER || !hasRoom()) return undefined;
    const id = newRendezvousId(worker);
    const late = () => join.cut('UPSTREAM_TIMEOUT', 'The members did not come to their rendezvous in time.');
    const rendezvous: Rendezvous = {
      ...{join, rates: [], came: new Map(), pipe: undefined},
      timer: clock.after(COME_MS, late),
      gone: () => join.cut('CANCELLED', 'A member has left the rendezvous.'),
    };
    const end = () => {
      rendezvous.pipe?.destroy();
      for (const {socket} of rendezvous.came.values()) if (!socket.destroyed) resetSocket(socket);
      this.#ofOwners.add(owner, -1);
      this.#count -= 1;
    };
    this.#all.set(id, rendezvous);
    this.#ofOwners.add(owner, 1);
    this.#count += 1;
    join.onOver(() => {
      this.#all.delete(id);
      rendezvous.timer.cancel();
      if (rendezvous.pipe === undefined || rendezvous.pipe.over) end();
      else clock.after(LAST_BYTES_MS, end);
    });
    return id;
  }

  /** Limits of bandwidth for both directions. They come before the second connection does. */
  pace(id: string, rates: readonly Rate[]): void {
    const rendezvous = this.#all.get(id);
    if (rendezvous !== undefined) rendezvous.rates = rates;
  }

  /** For a join that `open` was called with. */
  bytesOf(id: string): () => RendezvousBytes {
    const rendezvous = this.#all.get(id);
    return () => {
      const {fromFirst = 0, fromSecond = 0} = rendezvous?.pipe?.bytes ?? {};
      return {fromOpener: fromFirst, fromTarget: fromSecond};
    };
  }

  /** A connection has named its place. It is ended when nobody waits for it there. @param head its bytes so far */
  enter(connection: PendingConnection, head: Buffer, {side, id}: RendezvousPlace): void {
    const rendezvous = this.#all.get(id);
    if (rendezvous === undefined || rendezvous.came.has(side)) {
      connection.endAtNoPlace();
      return;
    }
    const {raw: socket} = connection;
    connection.enter();
    stopReading(socket);
    const rest = [behindHello(head)];
    for (let more = socket.read() as Buffer | null; more !== null; more = socket.read() as Buffer | null)
      rest.push(more);
    socket.on('close', rendezvous.gone);
    rendezvous.came.set(side, {socket, head: rest.filter(({length}) => length > 0)});
    if (rendezvous.came.size === RENDEZVOUS_SIDES.length) {
      rendezvous.timer.cancel();
      // The end of this turn: the streams of Node learn then that nobody waits for `readable` any more.
      this.#options.clock.soon(() => this.#begin(rendezvous));
    }
  }

  close(): void {
    for (const {join} of [...this.#all.values()]) join.cut('DRAINING');
  }

  #begin(rendezvous: Rendezvous): void {
    const {join, came, rates, gone} = rendezvous;
    const [opener, target] = RENDEZVOUS_SIDES.map((side) => came.get(side));
    if (join.over || opener === undefined || target === undefined) return;
    const {unread} = this.#options;
    this.#reads ??= new SocketReads(new BlockPool());
    const pipe = new SocketPipe(opener, target, {
      ...{reads: this.#reads, rates},
      onOver: gone,
    });
    rendezvous.pipe = pipe;
    for (const {socket} of [opener, target]) socket.off('close', gone);
    const cut = () => {
      join.cut('TOO_MUCH_UNREAD');
      pipe.destroy();
    };
    for (const holder of pipe.unread(cut)) {
      const watched = unread.add(holder);
      join.onOver(() => unread.delete(watched));
    }
  }
}
