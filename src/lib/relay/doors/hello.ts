// Reads the ClientHello of a connection that was just accepted.

import type {Socket} from 'node:net';
import {type ClientHelloAnswer, ClientHelloReader} from '../../bytes/client-hello.js';
import {giveBack} from '../../bytes/give-back.js';
import {countRead} from '../../core/collect.js';
import type {PendingConnection} from './pending.js';

/** `head`: all bytes so far; TLS needs them again. */
type OnAnswer = (head: Buffer, answer: ClientHelloAnswer) => void;

/** One for each connection without rights, so it is small. */
export class Hello {
  readonly #connection: PendingConnection;
  readonly #reader = new ClientHelloReader();
  #onAnswer: OnAnswer | undefined;

  constructor(connection: PendingConnection) {
    this.#connection = connection;
  }

  /** Calls back once, unless the connection ends before. */
  read(onAnswer: OnAnswer): void {
    const {raw} = this.#connection;
    this.#onAnswer = onAnswer;
    this.#connection.hello = this;
    raw.on('readable', this.#read);
    raw.on('end', leave);
  }

  /** The connection is over. */
  release(): void {
    this.#stop();
    this.#reader.release();
  }

  readonly #read = (): void => {
    const connection = this.#connection;
    const {raw} = connection;
    const reader = this.#reader;
    for (let chunk = raw.read() as Buffer | null; chunk !== null; chunk = raw.read() as Buffer | null) {
      countRead(chunk.length);
      const isFirst = reader.length === 0;
      const result = reader.push(chunk);
      if (!isFirst) giveBack(chunk);
      connection.holds(reader.length);
      if (result.state === 'need-more') continue;
      const onAnswer = this.#onAnswer;
      connection.hello = undefined;
      this.#stop();
      if (!connection.over) onAnswer?.(reader.bytes, result);
      return;
    }
  };

  #stop(): void {
    const {raw} = this.#connection;
    this.#onAnswer = undefined;
    raw.off('readable', this.#read);
    raw.off('end', leave);
  }
}

function leave(this: Socket): void {
  this.destroy();
}
