// The renderer for `--log-format json`: all that people would read on stderr is one JSON object a line there.

import type {CliEvent} from '../events.js';
import {jsonLogLine} from '../json-log.js';
import type {TunnelState} from '../tunnel-state.js';
import {type Line, sentences} from '../wording.js';
import type {Renderer} from './renderer.js';

export class JsonLogRenderer implements Renderer {
  readonly #write: (line: string) => void;
  readonly #quiet: boolean;

  constructor(write: (line: string) => void, {quiet}: {quiet: boolean}) {
    this.#write = write;
    this.#quiet = quiet;
  }

  begin(): void {
    // Programs wait for the event.
  }

  settle(): void {
    // Nothing moves.
  }

  event(event: CliEvent, before: TunnelState): void {
    if (this.#quiet) return;
    const {type, ...fields} = event;
    const [first] = sentences(event, before);
    this.#line({level: 'info', message: first?.text ?? type, event: type, fields});
  }

  tell({tone, text}: Line): void {
    if (!this.#quiet) this.#line({level: tone === 'warning' ? 'warn' : 'info', message: text});
  }

  output(): void {
    // A relay starts no program.
  }

  log(line: string): void {
    this.#write(`${line}\n`);
  }

  end(): void {
    // There is nothing to restore.
  }

  #line(record: Omit<Parameters<typeof jsonLogLine>[0], 'scope'>): void {
    this.#write(`${jsonLogLine({scope: 'cli', ...record})}\n`);
  }
}
