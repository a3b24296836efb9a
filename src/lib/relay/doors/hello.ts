// Reads the ClientHello of a connection that was just accepted.

import type {Socket} from 'node:net';
import {type ClientHelloAnswer, ClientHelloReader} from '../../bytes/client-hello.js';
import {giveBack} from '../../bytes/give-back.js';
import {readOn, stopReading} from '../../bytes/reading.js';
import {countRead} from '../../core/collect.js';
import type {ListNode} from '../../core/linked-list.js';
import type {Job} from './fair-turns.js';
import type {HelloSocket, HelloTurns} from './hello-turns.js';
import type {PendingConnection} from './pending-connection.js';

/** `head`: all bytes so far; TLS needs them again. */
type OnAnswer = (head: Buffer, answer: ClientHelloAnswer) => void;

/** One for each connection without rights, so it is small. */
export class Hello implements HelloSocket {
  place: ListNode<HelloSocket> | undefined;
  turn: ListNode<Job> | undefined;
  readonly #connection: PendingConnection;
  readonly #turns: HelloTurns;
  readonly #reader = new ClientHelloReader();
  #onAnswer: OnAnswer | undefined;

  constructor(connection: PendingConnection, turns: HelloTurns) {
    this.#connection = connection;
    this.#turns = turns;
  }

  get source(): string {
    return this.#connection.peer.source;
  }

  /** Calls back once, unless the connection ends before. */
  read(onAnswer: OnAnswer): void {
    const {raw} = this.#connection;
    this.#onAnswer = onAnswer;
    this.#connection.hello = this;
    raw.on('readable', this.#read);
    raw.on('error', this.#read);
    raw.on('end', leave);
    this.#turns.add(this);
  }

  /** The connection is over. */
  release(): void {
    this.#leave();
    this.#reader.release();
  }

  // ── For HelloTurns ──

  stop(): void {
    stopReading(this.#connection.raw);
  }

  goOn(): void {
    readOn(this.#connection.raw);
  }

  readonly #read = (): void => {
    const connection = this.#connection;
    const {raw} = connection;
    const reader = this.#reader;
    let bytes = 0;
    for (let chunk = raw.read() as Buffer | null; chunk !== null; chunk = raw.read() as Buffer | null) {
      countRead(chunk.length);
      bytes += chunk.length;
      const isFirst = reader.length === 0;
      const result = reader.push(chunk);
      if (!isFirst) giveBack(chunk);
      connection.holds(reader.length);
      if (result.state === 'need-more') continue;
      const onAnswer = this.#onAnswer;
      connection.hello = undefined;
      this.#leave();
      this.#turns.count(bytes);
      if (!connection.over) onAnswer?.(reader.bytes, result);
      return;
    }
    // Ends and errors come here as well, and cost as much as a read.
    this.#turns.count(bytes);
  };

  #leave(): void {
    const {raw} = this.#connection;
    this.#onAnswer = undefined;
    this.#turns.delete(this);
    raw.off('readable', this.#read);
    raw.off('error', this.#read);
    raw.off('end', leave);
  }
}

function leave(this: Socket): void {
  this.destroy();
}
