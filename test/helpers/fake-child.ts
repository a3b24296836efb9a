// A child process that is none: the test says what comes from it.
import type {ChildProcess} from 'node:child_process';
import {EventEmitter} from 'node:events';
import type {FromWorker, ToWorker} from '../../src/lib/relay/workers/messages.js';

export class FakeChild extends EventEmitter {
  readonly pid = 1;
  connected = true;
  readonly heard: ToWorker[] = [];

  get asChild(): ChildProcess {
    return this as unknown as ChildProcess;
  }

  send(message: ToWorker, _socket: unknown, _options: object, done: (error: Error | null) => void): void {
    this.heard.push(message);
    done(null);
  }

  kill(): void {
    this.ends();
  }

  says(message: FromWorker): void {
    this.emit('message', message);
  }

  ends(): void {
    this.emit('exit', null, 'SIGKILL');
    this.emit('close', null, 'SIGKILL');
  }
}
