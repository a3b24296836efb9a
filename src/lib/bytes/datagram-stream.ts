// A stream of a session that carries datagrams. They may be lost, and are never cut: one that cannot be sent at once waits in a
// short queue, and the oldest ones there make room for new ones.

import type {Stream, StreamSink} from '../mux/stream.js';
import {DatagramReader, encodeDatagram, MAX_DATAGRAM} from '../protocol/datagrams.js';
import {MalformedMessage} from '../protocol/fields.js';
import type {StreamCode} from '../protocol/wire.js';
import type {DatagramRoom} from './datagram-room.js';
import type {DatagramTurns} from './datagram-turns.js';

/** The bytes that wait in the queue of one stream. Each datagram counts with the memory of its object. */
const MOST_WAITING_BYTES = 64 * 1024;
export const OBJECT_BYTES = 96;

export interface DatagramStreamOptions {
  turns: DatagramTurns;
  room: DatagramRoom;
  /** The datagram is a part of a larger piece: a receiver that keeps it copies it. */
  onDatagram: (datagram: Buffer) => void;
  onOpened?: () => void;
  /** Called once, at the end. `code`: the reason, if it was not an orderly one. */
  onOver: (code: StreamCode | undefined, message?: string) => void;
}

export class DatagramStream implements StreamSink {
  readonly stream: Stream;
  readonly #options: DatagramStreamOptions;
  readonly #reader = new DatagramReader();
  /** Bytes that came and were not given back as credit. */
  #unconsumed = 0;
  #isBusy = false;
  /** The peer has ended its direction. */
  #peerEnded = false;
  readonly #queue: Buffer[] = [];
  #queueBytes = 0;
  /** Bytes of a datagram that the stream has taken and not sent. */
  #held = 0;
  /** The stream takes nothing now. */
  #isShut = false;
  #isOver = false;
  /** Nothing more is sent, and the end of the peer is awaited. */
  #finishing: PromiseWithResolvers<void> | undefined;
  /** Datagrams that were not sent. */
  dropped = 0;

  constructor(stream: Stream, options: DatagramStreamOptions) {
    this.stream = stream;
    this.#options = options;
    stream.sink = this;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  send(datagram: Buffer): void {
    if (this.#isOver || this.#finishing !== undefined || datagram.length > MAX_DATAGRAM) return;
    if (this.#isShut) this.#wait(encodeDatagram(datagram));
    else this.#write(encodeDatagram(datagram));
  }

  /** The flow is over. The peer may have sent datagrams that are lost now, as on every network. */
  end(): void {
    if (this.#isOver) return;
    this.stream.end();
    this.#over(undefined);
  }

  /** The flow ends behind what waits to be sent. Resolves when the peer has taken all of it, or the flow is over. */
  finish(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    if (this.#finishing === undefined) {
      this.#finishing = Promise.withResolvers();
      if (this.#queue.length === 0) this.stream.end();
    }
    return this.#finishing.promise;
  }

  /** As `end`, with a reason. */
  reset(code: StreamCode): void {
    if (this.#isOver) return;
    this.stream.reset(code);
    this.#over(code);
  }

  // ── From the stream ──

  onData(piece: Buffer): void {
    if (this.#isOver) {
      this.stream.consumed(piece.length);
      return;
    }
    this.#reader.push(piece);
    this.#unconsumed += piece.length;
    if (!this.#isBusy) this.#work();
  }

  onEnd(): void {
    this.#peerEnded = true;
    if (!this.#isBusy) this.end();
  }

  onOpened(): void {
    this.#options.onOpened?.();
  }

  onWritable(): void {
    this.#options.room.give(this.#held);
    this.#held = 0;
    this.#isShut = false;
    while (!this.#isShut && !this.#isOver) {
      const frame = this.#queue.shift();
      if (frame === undefined) break;
      this.#leaveQueue(frame);
      this.#write(frame);
    }
    if (this.#finishing !== undefined && this.#queue.length === 0) this.stream.end();
  }

  onReset(code: StreamCode, message?: string): void {
    this.#over(code, message);
  }

  onClosed(): void {
    this.#over(undefined);
  }

  readonly #work = (): void => {
    this.#isBusy = false;
    if (this.#isOver) return;
    this.#isBusy = !this.#options.turns.work(this.#step, this.#work);
    if (this.#isOver) return;
    // The beginning of a datagram is read as well: small pieces may wait until the owner has consumed what it got.
    if (!this.#isBusy) this.#reader.keep();
    const read = this.#unconsumed - this.#reader.buffered;
    this.#unconsumed -= read;
    if (read > 0) this.stream.consumed(read);
    if (this.#peerEnded && !this.#isBusy) this.end();
  };

  readonly #step = (): boolean => {
    if (this.#isOver) return false;
    try {
      const datagram = this.#reader.next();
      if (datagram === undefined) return false;
      this.#options.onDatagram(datagram);
      return true;
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.reset('CANCELLED');
      return false;
    }
  };

  #write(frame: Buffer): void {
    const {room} = this.#options;
    // The stream would keep what the peer's credit does not cover.
    const held = Math.max(0, frame.length - this.stream.sendRoom);
    if (held > 0 && !room.take(held)) {
      this.dropped += 1;
      return;
    }
    this.#held += held;
    this.#isShut = !this.stream.write(frame);
    if (this.#isShut || held === 0) return;
    room.give(this.#held);
    this.#held = 0;
  }

  #wait(frame: Buffer): void {
    const bytes = frame.length + OBJECT_BYTES;
    const {room} = this.#options;
    while (this.#queue.length > 0 && this.#queueBytes + bytes > MOST_WAITING_BYTES) this.#drop();
    while (!room.take(bytes)) {
      if (this.#queue.length === 0) {
        this.dropped += 1;
        return;
      }
      this.#drop();
    }
    this.#queue.push(frame);
    this.#queueBytes += bytes;
  }

  #drop(): void {
    const oldest = this.#queue.shift();
    if (oldest === undefined) return;
    this.#leaveQueue(oldest);
    this.dropped += 1;
  }

  #leaveQueue(frame: Buffer): void {
    const bytes = frame.length + OBJECT_BYTES;
    this.#queueBytes -= bytes;
    this.#options.room.give(bytes);
  }

  #over(code: StreamCode | undefined, message?: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const {turns, room, onOver} = this.#options;
    turns.leave(this.#work);
    for (const frame of this.#queue.splice(0)) this.#leaveQueue(frame);
    room.give(this.#held);
    this.#held = 0;
    // Credit for what was not read, as long as the peer may still end its direction in order.
    const unread = this.#unconsumed;
    this.#unconsumed = 0;
    if (unread > 0) this.stream.consumed(unread);
    onOver(code, message);
    this.#finishing?.resolve();
  }
}
