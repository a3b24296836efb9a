// The server's copy of the screen: a terminal without a display that reads all output, answers the questions of programs,
// and can produce the bytes that draw the screen for a new visitor.
import {createRequire} from 'node:module';
import type {ITerminalAddon, Terminal} from '@xterm/headless';

// These packages are CommonJS and hide their names from `import`.
const require = createRequire(import.meta.url);
const headless: typeof import('@xterm/headless') = require('@xterm/headless');
const serialize: {SerializeAddon: new () => Serializer} = require('@xterm/addon-serialize');
const unicode: {Unicode11Addon: new () => ITerminalAddon} = require('@xterm/addon-unicode11');

interface Serializer extends ITerminalAddon {
  serialize(options?: {scrollback?: number}): string;
}

export interface Size {
  readonly cols: number;
  readonly rows: number;
}

/** The page keeps as many, so a visitor who gets the screen instead of the output loses nothing. */
export const SCROLLBACK = 2_000;
/** A screen with a longer drawing than this, bytes, is drawn without its scrollback. */
const LONGEST_DRAWING = 4 * 1_048_576;

/** Modes that the serializer leaves out: how the mouse is reported. */
const MOUSE_ENCODINGS = [1005, 1006, 1015, 1016];
const CURSOR_VISIBLE = 25;

export class Screen {
  readonly #terminal: Terminal;
  readonly #serializer = new serialize.SerializeAddon();
  readonly #mouseEncodings = new Set<number>();
  #cursorHidden = false;
  #title = '';
  /** The rows between which the program scrolls. */
  #margins: readonly [number, number] | undefined;

  /** `answer` gets the answers to questions of programs: the kind of terminal, the position of the cursor. */
  constructor(size: Size, answer: (data: string) => void) {
    this.#terminal = new headless.Terminal({...size, scrollback: SCROLLBACK, allowProposedApi: true});
    this.#terminal.loadAddon(this.#serializer);
    this.#terminal.loadAddon(new unicode.Unicode11Addon());
    this.#terminal.unicode.activeVersion = '11';
    this.#terminal.onData(answer);
    this.#terminal.onTitleChange((title) => (this.#title = title));
    this.#watchModes();
  }

  get size(): Size {
    return {cols: this.#terminal.cols, rows: this.#terminal.rows};
  }

  /** Calls `then` when the screen shows the bytes. */
  write(bytes: Uint8Array, then: () => void): void {
    this.#terminal.write(bytes, then);
  }

  resize({cols, rows}: Size): void {
    this.#margins = undefined;
    this.#terminal.resize(cols, rows);
  }

  /** The bytes that draw the current screen on a terminal of the same size in any state. */
  drawing(): Buffer {
    const whole = this.#drawing({});
    return whole.length <= LONGEST_DRAWING ? whole : this.#drawing({scrollback: 0});
  }

  #drawing(options: {scrollback?: number}): Buffer {
    const {cursorX, cursorY} = this.#terminal.buffer.active;
    const place = `\x1b[${cursorY + 1};${cursorX + 1}H`;
    const parts = [
      '\x1bc',
      this.#serializer.serialize(options),
      this.#margins && !this.#terminal.modes.originMode ? `\x1b[${this.#margins.join(';')}r${place}` : '',
      [...this.#mouseEncodings].map((mode) => `\x1b[?${mode}h`).join(''),
      this.#cursorHidden ? `\x1b[?${CURSOR_VISIBLE}l` : '',
      this.#title === '' ? '' : `\x1b]2;${this.#title.replaceAll(/\p{Cc}/gu, '')}\x07`,
    ];
    return Buffer.from(parts.join(''));
  }

  #watchModes(): void {
    const {parser} = this.#terminal;
    // Each handler answers false: the terminal itself handles the sequence, too.
    const note = (params: readonly (number | number[])[], on: boolean) => {
      for (const mode of params.flat()) {
        if (mode === CURSOR_VISIBLE) this.#cursorHidden = !on;
        if (!MOUSE_ENCODINGS.includes(mode)) continue;
        if (on) this.#mouseEncodings.add(mode);
        else this.#mouseEncodings.delete(mode);
      }
      return false;
    };
    parser.registerCsiHandler({prefix: '?', final: 'h'}, (params) => note(params, true));
    parser.registerCsiHandler({prefix: '?', final: 'l'}, (params) => note(params, false));
    parser.registerCsiHandler({final: 'r'}, (params) => {
      const {rows} = this.size;
      const [top, bottom] = [Number(params[0]) || 1, Math.min(Number(params[1]) || rows, rows)];
      this.#margins = top < bottom && (top > 1 || bottom < rows) ? [top, bottom] : undefined;
      return false;
    });
    const forget = () => {
      this.#mouseEncodings.clear();
      this.#cursorHidden = false;
      this.#margins = undefined;
      return false;
    };
    parser.registerEscHandler({final: 'c'}, forget);
    parser.registerCsiHandler({intermediates: '!', final: 'p'}, forget);
  }
}
