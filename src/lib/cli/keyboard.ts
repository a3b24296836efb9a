// Single keys of the terminal, for as long as it is this process's: Ctrl+Z gives it back, `fg` takes it again.

import {KeyboardMode} from '../launch/keyboard-mode.js';
import {isForeground} from './foreground.js';

/** How often it is looked whether the terminal has come back without a signal (`&`, then `fg`), ms. */
const LOOK_EVERY_MS = 1_000;

export interface KeyboardOptions {
  onKey: (key: string) => void;
  /** Keys are read from now on, or not any more. */
  onChange: (isRead: boolean) => void;
}

export class Keyboard implements Disposable {
  readonly #options: KeyboardOptions;
  readonly #mode = new KeyboardMode();
  readonly #looking: NodeJS.Timeout;
  #isRead = false;
  #isAsking = false;
  #ended = false;

  constructor(options: KeyboardOptions) {
    this.#options = options;
    process.stdin.on('data', this.#onData);
    // A terminal that has gone: nobody types.
    process.stdin.on('error', () => {});
    process.stdin.pause();
    process.on('SIGTSTP', this.#stop);
    process.on('SIGCONT', this.#take);
    this.#looking = setInterval(this.#look, LOOK_EVERY_MS).unref();
    this.#take();
  }

  /** The terminal is as it was. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#looking);
    process.off('SIGTSTP', this.#stop);
    process.off('SIGCONT', this.#take);
    process.stdin.off('data', this.#onData);
    this.#release();
    this.#mode[Symbol.dispose]();
  }

  #take = (): void => {
    if (this.#isAsking || this.#ended) return;
    this.#isAsking = true;
    void this.#mode.on().then((isOurs) => {
      this.#isAsking = false;
      if (this.#ended) return;
      if (!isOurs) return this.#release();
      process.stdin.resume();
      // The tunnel holds the process, not the keyboard.
      process.stdin.unref();
      this.#change(true);
    });
  };

  #release(): void {
    process.stdin.pause();
    this.#change(false);
  }

  #change(isRead: boolean): void {
    if (this.#isRead === isRead) return;
    this.#isRead = isRead;
    this.#options.onChange(isRead);
  }

  #look = (): void => {
    if (isForeground() !== this.#isRead) this.#take();
  };

  /** Ctrl+Z: the terminal is put back first, then the kernel does what it would have done. */
  #stop = (): void => {
    process.stdin.pause();
    void this.#mode.off().then(() => {
      process.off('SIGTSTP', this.#stop);
      process.kill(process.pid, 'SIGTSTP');
      // From here on it goes on after SIGCONT.
      if (!this.#ended) process.on('SIGTSTP', this.#stop);
    });
  };

  /** What is pasted comes in one piece, and was not meant. */
  #onData = (data: Buffer): void => {
    const key = data.toString();
    if (key.length === 1) this.#options.onKey(key);
  };
}
