// Copies one output of a process into its stream, and decides when all of it is over after the process has ended.

import type {Readable} from 'node:stream';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock, Timer} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';

/** A child that outlives its parent may keep the output open. It gets this long for the next bytes, ms. */
const SILENT_MS = 500;
/** The host has this long to read on, ms; later the end of the process is told first. */
const BLOCKED_MS = 2_000;
/** More bytes than any pipe holds: the rest is of children that outlive the process. */
const MAX_LATE_BYTES = 4 * 1024 * 1024;

export class OutputPump {
  readonly #source: Readable;
  readonly #clock: Clock;
  #target: StreamDuplex | undefined;
  #over = false;
  #onOver: (() => void) | undefined;
  #timer: Timer | undefined;

  constructor(source: Readable, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    this.#over = source.destroyed;
    source.on('error', this.#onError);
    source.on('close', this.#finish);
  }

  /** Returns false when the output has a stream already. */
  attach(stream: Stream): boolean {
    if (this.#target !== undefined) return false;
    stream.accept();
    const target = new StreamDuplex(stream);
    this.#target = target;
    target.resume();
    target.on('close', this.#cut);
    if (this.#over) {
      target.end();
      this.#onOver?.();
    } else this.#source.pipe(target);
    return true;
  }

  /**
   * The process has ended. Resolves when its output is delivered, or when nobody reads it: an output that ended empty has no stream
   * yet when the process was faster than its host. Children that keep the output open are cut off.
   */
  async settle(): Promise<void> {
    if (this.#isDelivered) return;
    await new Promise<void>((resolve) => {
      this.#onOver = resolve;
      this.#watch(this.#bytes, this.#bytes, 0);
    });
    this.#timer?.cancel();
  }

  /** Nobody waits for the output any more. Idempotent. */
  destroy(): void {
    this.#target?.destroy();
    this.#cut();
  }

  /** This client is gone; the output waits for another one. Idempotent. */
  detach(): void {
    this.#source.off('error', this.#onError);
    this.#source.off('close', this.#finish);
    const target = this.#target;
    if (target === undefined) return;
    this.#source.unpipe(target);
    target.off('close', this.#cut);
    target.destroy();
  }

  get #isDelivered(): boolean {
    return this.#over && this.#target !== undefined;
  }

  get #bytes(): number {
    return this.#target?.stream.bytesOut ?? 0;
  }

  /** Looks every SILENT_MS whether bytes have moved. */
  #watch(first: number, before: number, blockedMs: number): void {
    this.#timer = this.#clock.after(SILENT_MS, () =>
      // Bytes that have come in this turn are read first.
      this.#clock.soon(() => this.#clock.soon(() => this.#judge(first, before, blockedMs))),
    );
  }

  #judge(first: number, before: number, blockedMs: number): void {
    if (this.#isDelivered) return;
    const bytes = this.#bytes;
    const isBlocked = this.#target === undefined || this.#target.writableNeedDrain;
    if (bytes - first > MAX_LATE_BYTES || (bytes === before && !isBlocked)) {
      this.#cut();
      this.#target?.end();
    } else if (bytes === before && blockedMs + SILENT_MS >= BLOCKED_MS) {
      // The output is delivered whenever somebody reads it.
      this.#onOver?.();
    } else {
      this.#watch(first, bytes, bytes === before ? blockedMs + SILENT_MS : 0);
    }
  }

  readonly #onError = (): void => {
    this.#target?.destroy();
  };

  readonly #cut = (): void => {
    if (!this.#over) this.#source.destroy();
  };

  readonly #finish = (): void => {
    this.#over = true;
    if (this.#isDelivered) this.#onOver?.();
  };
}
