// The renderer for programs: every event is one line on stdout, diagnostics go to stderr.

import type {CliEvent} from '../events.js';
import type {Renderer} from './renderer.js';
import {SharedOutput} from './shared-output.js';

export class JsonRenderer implements Renderer {
  readonly #writeLine: (line: string) => void;
  readonly #errors: SharedOutput;

  constructor(writeLine: (line: string) => void, writeError: (piece: string | Uint8Array) => void) {
    this.#writeLine = writeLine;
    this.#errors = new SharedOutput(writeError);
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

  output(bytes: Uint8Array): void {
    this.#errors.program(bytes);
  }

  log(line: string): void {
    this.#errors.own(`${line}\n`);
  }

  end(): void {
    this.#errors.end();
  }
}
