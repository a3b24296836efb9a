// Actions on an address: show it as a QR code, copy it, open it in the browser. A flag does it at once, a key later.

import type {ReadyEvent} from '../agent/events.js';
import type {Line} from './wording.js';

export type Action = 'qr' | 'copy' | 'open';

export type GreetOptions = {[K in Action]?: boolean | undefined};

/** The output for people, and the properties of its terminal. */
export interface Audience {
  tell: (line: Line) => void;
  /** Writes a control sequence for the terminal; absent without a terminal. */
  order?: ((text: string) => unknown) | undefined;
  columns?: () => number | undefined;
  /** Another process holds the tunnel; this one is about to end. */
  leaves?: boolean;
}

/** In the order of use: opening the browser comes last. */
export async function greet(ready: ReadyEvent, wishes: GreetOptions, audience: Audience): Promise<void> {
  for (const action of ['qr', 'copy', 'open'] as const)
    if (wishes[action]) await perform(action, ready, audience);
}

/** Loads only the code that is needed. Never throws: a failed action does not end the tunnel. */
export async function perform(action: Action, ready: ReadyEvent, audience: Audience): Promise<void> {
  try {
    await ACTIONS[action](ready, audience);
  } catch (error) {
    audience.tell({tone: 'warning', text: error instanceof Error ? error.message : String(error)});
  }
}

/** The actions that are possible with this address. */
export function actionsFor({address}: ReadyEvent): Action[] {
  return address.startsWith('https://') ? ['qr', 'open', 'copy'] : ['copy'];
}

const ACTIONS: Readonly<Record<Action, (ready: ReadyEvent, audience: Audience) => Promise<void>>> = {
  async qr({address}, {tell, columns}) {
    const lines = await qrLines(address);
    const width = lines[0]?.length ?? 0;
    const there = columns?.() || width;
    if (there < width)
      tell({tone: 'warning', text: `the QR code needs ${width} columns; the window has ${there}`});
    else for (const text of lines) tell({tone: 'plain', text});
  },
  async copy({address}, {tell, order}) {
    const {copy} = await import('../launch/desktop.js');
    // A terminal that knows OSC 52 takes the text, also through ssh. It does not confirm that.
    order?.(`\x1b]52;c;${Buffer.from(address).toString('base64')}\x07`);
    if ((await copy(address)) || order) tell({tone: 'plain', text: 'sent to the clipboard'});
    else tell({tone: 'warning', text: 'there is no clipboard here'});
  },
  async open({address}, {tell, leaves}) {
    if (!address.startsWith('https://')) {
      tell({tone: 'warning', text: `${address} is no address for a browser`});
      return;
    }
    const {openInBrowser} = await import('../launch/desktop.js');
    const why = await openInBrowser(address, {stays: !leaves});
    if (why === undefined) tell({tone: 'plain', text: 'sent to the browser'});
    else tell({tone: 'warning', text: `no browser could be opened: ${why}`});
  },
};

/** Half blocks, dark on light in any colours: two modules to a character, one above the other. */
export async function qrLines(text: string): Promise<string[]> {
  const {renderUnicodeCompact} = await import('uqr');
  return renderUnicodeCompact(text, {border: 2}).split('\n');
}
