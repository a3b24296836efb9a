// For logs, screen readers and pipes: the same facts as lines, without glyphs, colours or anything that moves.

import type {CliEvent} from '../events.js';
import {Throttle} from '../throttle.js';
import {type Line, sentences} from '../wording.js';
import {oneLine} from '../words.js';
import type {Renderer} from './renderer.js';

export class PlainRenderer implements Renderer {
  readonly #write: (text: string) => void;
  readonly #quiet: boolean;
  readonly #throttle = new Throttle();
  #isUp = false;

  constructor(write: (text: string) => void, {quiet = false}: {quiet?: boolean} = {}) {
    this.#write = write;
    this.#quiet = quiet;
  }

  begin(): void {
    // The lines that follow say enough.
  }

  settle(): void {
    this.#isUp = true;
  }

  event(event: CliEvent): void {
    if (this.#quiet) return;
    if (event.type === 'connection') {
      const {shown, hidden} = this.#throttle.admit();
      if (!shown) return;
      if (hidden > 0) this.#write(`… and ${hidden} more lines about connections\n`);
    }
    for (const {tone, text} of sentences(event, this.#isUp)) {
      const prefix = tone === 'warning' && event.type !== 'ready' ? 'warning: ' : '';
      this.#write(`${prefix}${oneLine(text)}\n`);
    }
  }

  tell({text}: Line): void {
    if (!this.#quiet) this.#write(`${oneLine(text)}\n`);
  }

  output(text: string): void {
    if (!this.#quiet) this.#write(text);
  }

  log(line: string): void {
    this.#write(`${line}\n`);
  }

  end(): void {
    // Nothing was changed.
  }
}
