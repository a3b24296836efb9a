// Messages, questions and answers over a channel between two processes. A message may bring a socket.

import type {Socket} from 'node:net';

type Questions<T> = {[Q in keyof T]: {about: object; answer: unknown}};

/** The part of a process, or of a child process, that talks. */
export interface Channel {
  readonly connected: boolean;
  send(
    message: object,
    socket: Socket | undefined,
    options: object,
    done: (error: Error | null) => void,
  ): unknown;
  on(event: 'message', listener: (message: unknown, socket: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
}

interface Asked {
  ask: number;
  question: PropertyKey;
  about: object;
}

interface Answered {
  answer: number;
  value?: unknown;
  failed?: string;
}

export interface TalkOptions<In, Mine extends Questions<Mine>> {
  channel: Channel;
  onMessage: (message: In, socket: Socket | undefined) => void;
  /** Answers the other side's questions. */
  answers: {[Q in keyof Mine]: (about: Mine[Q]['about']) => Promise<Mine[Q]['answer']>};
}

export class Talk<Out extends object, In, Theirs extends Questions<Theirs>, Mine extends Questions<Mine>> {
  readonly #options: TalkOptions<In, Mine>;
  readonly #waiting = new Map<number, {resolve: (value: never) => void; reject: (error: Error) => void}>();
  #asked = 0;

  constructor(options: TalkOptions<In, Mine>) {
    this.#options = options;
    const {channel} = options;
    channel.on('message', (message, socket) =>
      this.#onMessage(message as object, socket as Socket | undefined),
    );
    channel.on('disconnect', () => this.end());
  }

  /** The other process is gone. Open questions fail. */
  end(): void {
    for (const {reject} of this.#waiting.values()) reject(gone());
    this.#waiting.clear();
  }

  /** Lost when the other process is gone. */
  tell(message: Out, socket?: Socket, done: (isSent: boolean) => void = ignore): void {
    this.#send(message, socket, done);
  }

  /** @throws Error when the other process is gone, or fails. */
  ask<Q extends keyof Theirs>(question: Q, about: Theirs[Q]['about']): Promise<Theirs[Q]['answer']> {
    return new Promise((resolve, reject) => {
      const ask = ++this.#asked;
      this.#waiting.set(ask, {resolve, reject});
      const asked: Asked = {ask, question, about};
      this.#send(asked, undefined, (isSent) => {
        if (!isSent && this.#waiting.delete(ask)) reject(gone());
      });
    });
  }

  #send(message: object, socket: Socket | undefined, done: (isSent: boolean) => void): void {
    const {channel} = this.#options;
    if (!channel.connected) {
      done(false);
      return;
    }
    channel.send(message, socket, {}, (error) => done(error === null || error === undefined));
  }

  #onMessage(message: object, socket: Socket | undefined): void {
    if ('ask' in message) this.#answer(message as Asked);
    else if ('answer' in message) this.#settle(message as Answered);
    else this.#options.onMessage(message as In, socket);
  }

  #answer({ask, question, about}: Asked): void {
    this.#options.answers[question as keyof Mine](about).then(
      (value) => this.#send({answer: ask, value}, undefined, ignore),
      (error: unknown) => this.#send({answer: ask, failed: String(error)}, undefined, ignore),
    );
  }

  #settle({answer, value, failed}: Answered): void {
    const waiting = this.#waiting.get(answer);
    this.#waiting.delete(answer);
    if (failed === undefined) waiting?.resolve(value as never);
    else waiting?.reject(new Error(failed));
  }
}

const ignore = (): void => {};
const gone = (): Error => new Error('The other process of this relay is gone.');
