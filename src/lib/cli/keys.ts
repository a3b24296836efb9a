// The keys of the live view: their actions on the addresses, and their names in the block and behind `?`.

import {type Action, type Audience, actionsFor, perform} from './greet.js';
import {Keyboard} from './keyboard.js';
import type {Ready} from './tunnel-state.js';

const KEYS: Readonly<Record<Action, {key: string; name: string; about: string; aboutAll: string}>> = {
  qr: {
    key: 'q',
    name: 'QR',
    about: 'show the address as a QR code',
    aboutAll: 'show the addresses as QR codes',
  },
  open: {
    key: 'o',
    name: 'open',
    about: 'open the address in the browser',
    aboutAll: 'open the addresses in the browser',
  },
  copy: {
    key: 'c',
    name: 'copy',
    about: 'copy the address to the clipboard',
    aboutAll: 'copy the addresses to the clipboard',
  },
};
const HELP = '?';

export class Keys implements Disposable {
  readonly #keyboard: Keyboard;
  readonly #readies: () => readonly Ready[];
  readonly #audience: Audience;
  #isRead = false;

  /**
   * @param readies the tunnels that are up
   * @param onChange is called when keys start or stop working
   */
  constructor(readies: () => readonly Ready[], audience: Audience, onChange: () => void) {
    this.#readies = readies;
    this.#audience = audience;
    this.#keyboard = new Keyboard({
      onKey: (key) => this.press(key),
      onChange: (isRead) => {
        this.#isRead = isRead;
        onChange();
      },
    });
  }

  /** For the block: `q QR`. */
  get names(): string[] {
    if (!this.#isRead) return [];
    return [
      ...actionsFor(this.#readies()).map((action) => `${KEYS[action].key} ${KEYS[action].name}`),
      `${HELP} keys`,
    ];
  }

  press(key: string): void {
    const readies = this.#readies();
    const action = actionsFor(readies).find((each) => KEYS[each].key === key.toLowerCase());
    if (action !== undefined) void perform(action, readies, this.#audience);
    else if (key === HELP) for (const text of this.#help()) this.#audience.tell({tone: 'plain', text});
    // Enter prints an empty line, with which people mark their place.
    else if (key === '\n' || key === '\r') this.#audience.tell({tone: 'plain', text: ''});
  }

  [Symbol.dispose](): void {
    this.#keyboard[Symbol.dispose]();
  }

  #help(): string[] {
    const readies = this.#readies();
    const about = (action: Action) => (readies.length > 1 ? KEYS[action].aboutAll : KEYS[action].about);
    return [
      ...actionsFor(readies).map((action) => `${KEYS[action].key}       ${about(action)}`),
      'Enter   an empty line',
      'Ctrl+C  stop; once more: at once',
      'With --no-keys tunl does not read the keyboard.',
    ];
  }
}
