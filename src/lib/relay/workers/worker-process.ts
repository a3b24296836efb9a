// A worker as the first process sees it.

import type {ChildProcess} from 'node:child_process';
import type {Socket} from 'node:net';
import {TunlError} from '../../core/errors.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {MemberHolder} from '../networks/network-desk.js';
import type {RelayStats} from '../options.js';
import type {SocketTaker} from './hand-over.js';
import type {KeyHolder} from './lease-desk.js';
import type {FromWorker, HandedOver, QuestionsOfWorker, QuestionsToWorker, ToWorker} from './messages.js';
import {type Channel, Talk, type TalkOptions} from './talk.js';

/** A worker that is this many sockets behind gets no more of them. */
const MOST_SOCKETS = 1_024;
/** A worker that is this many messages behind hangs, and is ended. */
const MOST_MESSAGES = 65_536;

export interface WorkerProcessOptions {
  number: number;
  child: ChildProcess;
  onMessage: (message: FromWorker, worker: WorkerProcess) => void;
  answersFor: (worker: WorkerProcess) => TalkOptions<FromWorker, QuestionsOfWorker>['answers'];
  /** The process has ended, or never started. */
  onGone: (worker: WorkerProcess, how: {code: number | null; signal: string | null}) => void;
}

export class WorkerProcess implements SocketTaker, KeyHolder, MemberHolder {
  readonly number: number;
  /** Resolves when it serves. @throws TunlError the reason why it cannot */
  readonly ready: Promise<void>;
  stats: RelayStats = {agents: 0, tunnels: 0, visitors: 0};
  isUp = false;
  readonly #child: ChildProcess;
  readonly #talk: Talk<ToWorker, FromWorker, QuestionsToWorker, QuestionsOfWorker>;
  /** One for each socket on its way. */
  readonly #handing = new Set<(isTaken: boolean) => void>();
  #messages = 0;
  #isGone = false;
  readonly #ended: Promise<void>;

  constructor({number, child, onMessage, answersFor, onGone}: WorkerProcessOptions) {
    this.number = number;
    this.#child = child;
    let settle: {resolve: () => void; reject: (error: Error) => void} | undefined;
    this.ready = new Promise((resolve, reject) => {
      settle = {resolve, reject};
    });
    this.ready.catch(() => {});
    this.#talk = new Talk<ToWorker, FromWorker, QuestionsToWorker, QuestionsOfWorker>({
      channel: child as unknown as Channel,
      answers: answersFor(this),
      onMessage: (message) => {
        // The last messages of a process may come after its end. Its counts would stay for ever.
        if (this.#isGone && message.type !== 'log' && message.type !== 'event') return;
        if (message.type === 'ready') {
          this.isUp = true;
          settle?.resolve();
        } else if (message.type === 'failed') {
          const {code, message: reason, next} = message;
          settle?.reject(new TunlError(code, {reason, ...(next === undefined ? {} : {next})}));
        } else if (message.type === 'stats') this.stats = message.stats;
        else onMessage(message, this);
      },
    });
    this.#ended = new Promise((resolve) => {
      const gone = (code: number | null, signal: string | null) => {
        if (this.#isGone) return;
        this.#isGone = true;
        this.isUp = false;
        settle?.reject(new TunlError('RELAY_LOST', {reason: 'A worker process ended before it was ready.'}));
        // Node emits no `disconnect` while a socket is on its way, and calls back for none of those that wait.
        this.#talk.end();
        for (const finish of [...this.#handing]) finish(false);
        closeUnconfirmed(child);
        onGone(this, {code, signal});
      };
      child.on('exit', gone);
      // Its last messages may come after its exit, but not after this.
      child.on('close', () => resolve());
      // It could not be started, or a message could not be sent; then `exit` follows.
      child.on('error', () => {
        if (child.pid !== undefined) return;
        gone(null, null);
        resolve();
      });
    });
  }

  tell(message: ToWorker): void {
    if (this.#messages >= MOST_MESSAGES) {
      this.kill();
      return;
    }
    this.#messages += 1;
    this.#talk.tell(message, undefined, () => {
      this.#messages -= 1;
    });
  }

  ask<Q extends keyof QuestionsToWorker>(
    question: Q,
    about: QuestionsToWorker[Q]['about'],
  ): Promise<QuestionsToWorker[Q]['answer']> {
    if (this.#messages >= MOST_MESSAGES) this.kill();
    this.#messages += 1;
    return this.#talk.ask(question, about).finally(() => {
      this.#messages -= 1;
    });
  }

  take(message: HandedOver, socket: Socket, done: (isTaken: boolean) => void): void {
    if (!this.isUp || this.#handing.size >= MOST_SOCKETS) {
      done(false);
      return;
    }
    const finish = (isTaken: boolean) => {
      if (this.#handing.delete(finish)) done(isTaken);
    };
    this.#handing.add(finish);
    this.#talk.tell(message, socket, finish);
  }

  lose(key: LeaseKey, epoch: number): Promise<unknown> {
    return this.ask('lose', {key, epoch});
  }

  hasInUse(key: LeaseKey): Promise<boolean> {
    return this.ask('inUse', {key});
  }

  roster(network: string, line: string): void {
    this.tell({type: 'roster', network, line});
  }

  replaced(member: number): void {
    this.tell({type: 'member-replaced', member});
  }

  /** Asks it to end. Resolves when it has, and its last messages have come. */
  end(drainTimeoutMs: number): Promise<void> {
    this.tell({type: 'end', drainTimeoutMs});
    return this.#ended;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** The internal parts of Node's child process that keep a socket until the child confirms it. */
interface Inside {
  _pendingMessage?: {handle: {close(): void}} | null;
}

/** A child that ends confirms nothing, and Node keeps the socket open for ever. */
function closeUnconfirmed(child: ChildProcess): void {
  const inside = child as unknown as Inside;
  inside._pendingMessage?.handle.close();
  inside._pendingMessage = null;
}
