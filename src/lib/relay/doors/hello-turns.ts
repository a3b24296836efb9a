// Limits the bytes that are read of ClientHellos in one turn of the event loop.
//
// The system reports all sockets that have bytes at once, and Node reads each of them before anything else happens: when
// thousands of strangers send 60 KB each at the same moment, everybody else waits for 150 ms. When a turn has read enough,
// all sockets that wait for a ClientHello are stopped. A few of them are read in each later turn, one of each source after
// the other.

import type {Clock} from '../../core/clock.js';
import {LinkedList, type ListNode} from '../../core/linked-list.js';
import {FairTurns, type Job} from './fair-turns.js';

/** The most reads and bytes in one turn. The last read may exceed it. */
const READS_A_TURN = 16;
const BYTES_A_TURN = 256 * 1024;
/** Stopped sockets that are read in one later turn: so few that all of them fit, however much they have received. */
const AGAIN_A_TURN = 4;
/** The rest between two such turns, ms: a crowd gets a share of the processor, and 2,000 ClientHellos a second are read. */
const REST_MS = 2;

/** A socket that waits for its ClientHello. */
export interface HelloSocket {
  readonly source: string;
  /** Its place among those that are read; undefined while it is stopped. */
  place: ListNode<HelloSocket> | undefined;
  /** Its turn to be read again; undefined while it is read. */
  turn: ListNode<Job> | undefined;
  stop(): void;
  goOn(): void;
}

export class HelloTurns {
  readonly #clock: Pick<Clock, 'soon'>;
  /** Sockets that are read as soon as bytes come. */
  readonly #reading = new LinkedList<HelloSocket>();
  readonly #stopped: FairTurns;
  #reads = 0;
  #bytes = 0;
  #armed = false;

  constructor(clock: Pick<Clock, 'soon' | 'after'>) {
    this.#clock = clock;
    const rest = {soon: (fn: () => void) => void clock.after(REST_MS, fn)};
    this.#stopped = new FairTurns({perTurn: AGAIN_A_TURN, clock: rest});
  }

  /** Adds a socket that is being read. It is stopped at once when others wait to be read again. */
  add(socket: HelloSocket): void {
    if (this.#full || this.#stopped.busy) this.#stop(socket);
    else socket.place = this.#reading.push(socket);
  }

  delete(socket: HelloSocket): void {
    if (socket.place !== undefined) this.#reading.delete(socket.place);
    socket.place = undefined;
    if (socket.turn !== undefined) this.#stopped.cancel(socket.source, socket.turn);
    socket.turn = undefined;
  }

  /** Called after each read. */
  count(bytes: number): void {
    this.#reads += 1;
    this.#bytes += bytes;
    if (!this.#armed) {
      this.#armed = true;
      this.#clock.soon(this.#nextTurn);
    }
    if (this.#full) for (const socket of [...this.#reading]) this.#stop(socket);
  }

  get #full(): boolean {
    return this.#reads >= READS_A_TURN || this.#bytes >= BYTES_A_TURN;
  }

  #stop(socket: HelloSocket): void {
    this.delete(socket);
    socket.stop();
    socket.turn = this.#stopped.later(socket.source, () => {
      socket.turn = undefined;
      socket.place = this.#reading.push(socket);
      socket.goOn();
    });
  }

  readonly #nextTurn = (): void => {
    this.#armed = false;
    this.#reads = 0;
    this.#bytes = 0;
  };
}
