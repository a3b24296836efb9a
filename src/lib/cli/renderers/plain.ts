// The renderer for logs, screen readers and pipes: the same facts as lines, without glyphs, colours or movement. For a screen
// reader they are whole sentences.

import {oneLine} from '../../core/one-line.js';
import type {CliEvent} from '../events.js';
import {spoken} from '../spoken.js';
import {Throttle} from '../throttle.js';
import type {TunnelState} from '../tunnel-state.js';
import {type Line, sentences} from '../wording.js';
import type {Renderer} from './renderer.js';

export class PlainRenderer implements Renderer {
  readonly #write: (text: string) => void;
  readonly #quiet: boolean;
  readonly #spoken: boolean;
  readonly #throttle = new Throttle();

  constructor(
    write: (text: string) => void,
    {quiet = false, inSentences = false}: {quiet?: boolean; inSentences?: boolean} = {},
  ) {
    this.#write = write;
    this.#quiet = quiet;
    this.#spoken = inSentences;
  }

  begin(): void {
    // The next lines are enough.
  }

  settle(): void {
    // There is nothing to settle.
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
      if (hidden > 0) this.#write(`… and ${hidden} more lines about connections\n`);
    }
    for (const {tone, text} of sentences(event, before)) {
      const prefix = tone === 'warning' && event.type !== 'ready' ? 'warning: ' : '';
      this.#write(`${prefix}${oneLine(text)}\n`);
    }
  }

  #speak(event: CliEvent, before: TunnelState): void {
    const lines = spoken(event, before);
    if (event.type === 'connection' && lines.length > 0) {
      const {shown, hidden} = this.#throttle.admit();
      if (!shown) return;
      if (hidden > 0) this.#write(`${hidden} more visitors have come and gone.\n`);
    }
    for (const text of lines) this.#write(`${oneLine(text)}\n`);
  }

  tell({tone, text}: Line): void {
    const prefix = tone === 'warning' ? (this.#spoken ? 'Warning: ' : 'warning: ') : '';
    if (!this.#quiet) this.#write(`${prefix}${oneLine(text)}\n`);
  }

  output(text: string): void {
    if (!this.#quiet) this.#write(text);
  }

  log(line: string): void {
    this.#write(`${line}\n`);
  }

  end(): void {
    // There is nothing to restore.
  }
}
