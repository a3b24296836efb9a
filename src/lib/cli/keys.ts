// The keys of the live view: their actions on the address, and their names in the block and behind `?`.

import type {ReadyEvent} from '../agent/events.js';
import {type Action, type Audience, actionsFor, perform} from './greet.js';
import {Keyboard} from './keyboard.js';

const KEYS: Readonly<Record<Action, {key: string; name: string; about: string}>> = {
  qr: {key: 'q', name: 'QR', about: 'show the address as a QR code'},
  open: {key: 'o', name: 'open', about: 'open the address in the browser'},
  copy: {key: 'c', name: 'copy', about: 'copy the address to the clipboard'},
};
const HELP = '?';

export class Keys implements Disposable {
  readonly #keyboard: Keyboard;
  readonly #ready: ReadyEvent;
  readonly #audience: Audience;
  readonly #actions: readonly Action[];
  #isRead = false;

  /** `onChange` is called when keys start or stop working. */
  constructor(ready: ReadyEvent, audience: Audience, onChange: () => void) {
    this.#ready = ready;
    this.#audience = audience;
    this.#actions = actionsFor(ready);
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
    return [...this.#actions.map((action) => `${KEYS[action].key} ${KEYS[action].name}`), `${HELP} keys`];
  }

  press(key: string): void {
    const action = this.#actions.find((each) => KEYS[each].key === key.toLowerCase());
    if (action !== undefined) void perform(action, this.#ready, this.#audience);
    else if (key === HELP) for (const text of this.#help()) this.#audience.tell({tone: 'plain', text});
    // Enter prints an empty line, which people use to mark what they have read.
    else if (key === '\n' || key === '\r') this.#audience.tell({tone: 'plain', text: ''});
  }

  [Symbol.dispose](): void {
    this.#keyboard[Symbol.dispose]();
  }

  #help(): string[] {
    return [
      ...this.#actions.map((action) => `${KEYS[action].key}       ${KEYS[action].about}`),
      'Enter   an empty line',
      'Ctrl+C  stop; once more: at once',
      'With --no-keys the keyboard is left alone.',
    ];
  }
}
