// The renderer for programs: every event is one line on stdout, diagnostics go to stderr.

import type {CliEvent} from '../events.js';
import type {Renderer} from './renderer.js';

export class JsonRenderer implements Renderer {
  readonly #writeLine: (line: string) => void;
  readonly #writeError: (text: string) => void;

  constructor(writeLine: (line: string) => void, writeError: (text: string) => void) {
    this.#writeLine = writeLine;
    this.#writeError = writeError;
  }

  begin(): void {
    // Programs wait for `ready`.
  }

  settle(): void {
    // There is nothing to settle.
  }

  event(event: CliEvent): void {
    const {type, ...rest} = event;
    const {tunnel, ...facts} = rest as {tunnel?: string};
    this.#writeLine(JSON.stringify({type, tunnel, ...facts}));
  }

  tell(): void {
    // Programs get events.
  }

  output(text: string): void {
    this.#writeError(text);
  }

  log(line: string): void {
    this.#writeError(`${line}\n`);
  }

  end(): void {
    // There is nothing to restore.
  }
}
