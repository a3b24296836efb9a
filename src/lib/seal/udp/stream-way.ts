// The way out of one flow of UDP as a stream of datagrams, of whatever session. Datagrams may be sent before the stream is there.

import type {DatagramRoom} from '../../bytes/datagram-room.js';
import {DatagramStream} from '../../bytes/datagram-stream.js';
import type {DatagramTurns} from '../../bytes/datagram-turns.js';
import {EarlyDatagrams} from '../../bytes/early-datagrams.js';
import type {Stream} from '../../mux/stream.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {WayEnd, WayOut, WayOutEvents} from './flows.js';

export interface StreamWayOptions {
  readonly turns: DatagramTurns;
  readonly room: DatagramRoom;
  readonly events: WayOutEvents;
  /** Opens the stream, and calls `onOpen` in the turn in which it is opened. */
  readonly open: (onOpen: (stream: Stream) => void, signal: AbortSignal) => Promise<unknown>;
  /** The meaning of a stream that was refused or reset. */
  readonly endOf: (code: StreamCode, message: string | undefined) => WayEnd;
  /** The meaning of an error of `open`. */
  readonly failed: (error: unknown) => WayEnd;
}

export class StreamWay implements WayOut {
  readonly #options: StreamWayOptions;
  readonly #abort = new AbortController();
  /** Datagrams that wait for the stream. */
  readonly #early = new EarlyDatagrams();
  #datagrams: DatagramStream | undefined;
  #hasEnded = false;

  constructor(options: StreamWayOptions) {
    this.#options = options;
    const {open, failed} = options;
    open((stream) => this.#opened(stream), this.#abort.signal).catch((error: unknown) =>
      this.#ended(failed(error)),
    );
  }

  send(datagram: Buffer): void {
    if (this.#datagrams !== undefined) {
      this.#datagrams.send(datagram);
      return;
    }
    if (!this.#hasEnded) this.#early.add(datagram);
  }

  end(): void {
    this.#give();
    this.#datagrams?.end();
  }

  refuse(): void {
    this.#give();
    this.#datagrams?.reset('UPSTREAM_REFUSED');
  }

  async finish(): Promise<void> {
    await this.#datagrams?.finish();
  }

  /** No event follows. */
  #give(): void {
    this.#hasEnded = true;
    this.#early.take();
    this.#abort.abort();
  }

  #opened(stream: Stream): void {
    if (this.#hasEnded) {
      stream.reset('CANCELLED');
      return;
    }
    const {turns, room, events, endOf} = this.#options;
    this.#datagrams = new DatagramStream(stream, {
      ...{turns, room},
      onDatagram: (datagram) => events.onDatagram(datagram),
      onOpened: () => events.onOpened(),
      onOver: (code, message) => this.#ended(code === undefined ? {answer: undefined} : endOf(code, message)),
    });
    for (const datagram of this.#early.take()) this.#datagrams.send(datagram);
  }

  #ended(end: WayEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#early.take();
    this.#options.events.onEnded(end);
  }
}
