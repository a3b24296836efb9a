// Reads single keys while this process is in the terminal's foreground. Ctrl+Z restores the terminal, `fg` reads keys again.

import {KeyboardMode} from '../launch/keyboard-mode.js';
import {isForeground} from './foreground.js';

/** Interval of the check whether the terminal has come back without a signal (`&`, then `fg`), ms. */
const LOOK_EVERY_MS = 1_000;

export interface KeyboardOptions {
  onKey: (key: string) => void;
  /** Called when reading of keys starts or stops. */
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
    // The terminal is gone, so there are no more keys.
    process.stdin.on('error', () => {});
    process.stdin.pause();
    process.on('SIGTSTP', this.#stop);
    process.on('SIGCONT', this.#take);
    this.#looking = setInterval(this.#look, LOOK_EVERY_MS).unref();
    this.#take();
  }

  /** Restores the terminal. Idempotent. */
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
      // The keyboard must not keep the process alive; the tunnel does.
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

  /** Ctrl+Z: restores the terminal first, then the kernel stops the process as usual. */
  #stop = (): void => {
    process.stdin.pause();
    void this.#mode.off().then(() => {
      process.off('SIGTSTP', this.#stop);
      process.kill(process.pid, 'SIGTSTP');
      // The code continues here after SIGCONT.
      if (!this.#ended) process.on('SIGTSTP', this.#stop);
    });
  };

  /** Several characters in one piece are a paste, and are ignored. */
  #onData = (data: Buffer): void => {
    const key = data.toString();
    if (key.length === 1) this.#options.onKey(key);
  };
}
