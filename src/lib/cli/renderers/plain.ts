// The renderer for logs, screen readers and pipes: the same facts as lines, without glyphs, colours or movement. For a screen
// reader they are whole sentences.

import {oneLine} from '../../core/one-line.js';
import type {CliEvent} from '../events.js';
import {spoken} from '../spoken.js';
import {isOneStream} from '../stdout.js';
import {Throttle} from '../throttle.js';
import type {TunnelState} from '../tunnel-state.js';
import {type Line, sentences} from '../wording.js';
import type {Renderer} from './renderer.js';
import {SharedOutput} from './shared-output.js';
import {TIMED, timeOfDay} from './timed.js';

export class PlainRenderer implements Renderer {
  readonly #shared: SharedOutput;
  readonly #quiet: boolean;
  readonly #spoken: boolean;
  readonly #throttle = new Throttle();

  constructor(
    write: (piece: string | Uint8Array) => void,
    {quiet = false, inSentences = false}: {quiet?: boolean; inSentences?: boolean} = {},
  ) {
    this.#shared = new SharedOutput(write);
    this.#quiet = quiet;
    this.#spoken = inSentences;
  }

  begin(): void {
    // The next lines are enough.
  }

  settle(): void {
    if (isOneStream()) this.#shared.settle();
  }

  event(event: CliEvent, before: TunnelState): void {
    if (this.#quiet) return;
    if (this.#spoken) {
      this.#speak(event, before);
      return;
    }
    if (event.type === 'connection') {
      const {shown, hidden} = this.#throttle.admit();
      if (!shown) return;
      if (hidden > 0) this.#shared.own(`… and ${hidden} more lines about connections\n`);
    }
    for (const {tone, text} of sentences(event, before)) {
      const at = TIMED.has(event.type) ? `${timeOfDay()}  ` : '';
      const prefix = tone === 'warning' && event.type !== 'ready' ? 'warning: ' : '';
      this.#shared.own(`${at}${prefix}${oneLine(text)}\n`);
    }
  }

  #speak(event: CliEvent, before: TunnelState): void {
    const lines = spoken(event, before);
    if (event.type === 'connection' && lines.length > 0) {
      const {shown, hidden} = this.#throttle.admit();
      if (!shown) return;
      if (hidden > 0) this.#shared.own(`${hidden} more visitors have come and gone.\n`);
    }
    for (const text of lines) this.#shared.own(`${oneLine(text)}\n`);
  }

  tell({tone, text}: Line): void {
    const prefix = tone === 'warning' ? (this.#spoken ? 'Warning: ' : 'warning: ') : '';
    if (!this.#quiet) this.#shared.own(`${prefix}${oneLine(text)}\n`);
  }

  output(bytes: Uint8Array): void {
    if (!this.#quiet) this.#shared.program(bytes);
  }

  log(line: string): void {
    this.#shared.own(`${line}\n`);
  }

  end(): void {
    this.#shared.settle();
  }
}
