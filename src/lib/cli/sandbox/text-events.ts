// Output as text for `--json`: whole characters of each source, cut anywhere.

import {StringDecoder} from 'node:string_decoder';
import type {OutputEvent} from './events.js';

type From = OutputEvent['from'];

export class TextEvents {
  readonly #tell: (from: From, text: string) => void;
  readonly #decoders = {stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8')};

  constructor(tell: (from: From, text: string) => void) {
    this.#tell = tell;
  }

  write(from: From, bytes: Uint8Array): void {
    const text = this.#decoders[from].write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (text !== '') this.#tell(from, text);
  }

  /** The last bytes may be the beginning of a character. */
  end(from: From): void {
    const text = this.#decoders[from].end();
    if (text !== '') this.#tell(from, text);
  }
}
