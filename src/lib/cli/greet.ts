// What a person may want done with an address: shown as a QR code, copied, opened in the browser. At once, by a flag, or on a key.

import type {ReadyEvent} from '../agent/events.js';
import type {Line} from './wording.js';

export type Deed = 'qr' | 'copy' | 'open';

export type GreetWishes = {[K in Deed]?: boolean | undefined};

/** Where it is said, and what is known of the terminal there. */
export interface Audience {
  tell: (line: Line) => void;
  /** Writes what the terminal takes as an order; absent where there is none that would. */
  order?: ((text: string) => unknown) | undefined;
  columns?: () => number | undefined;
  /** Somebody else holds the tunnel; this process is about to leave. */
  leaves?: boolean;
}

/** In the order in which they are of use: what opens a browser comes last. */
export async function greet(ready: ReadyEvent, wishes: GreetWishes, audience: Audience): Promise<void> {
  for (const deed of ['qr', 'copy', 'open'] as const) if (wishes[deed]) await perform(deed, ready, audience);
}

/** Loads what is wished for only. Never throws: the tunnel is up, whatever comes of this. */
export async function perform(deed: Deed, ready: ReadyEvent, audience: Audience): Promise<void> {
  try {
    await DEEDS[deed](ready, audience);
  } catch (error) {
    audience.tell({tone: 'warning', text: error instanceof Error ? error.message : String(error)});
  }
}

/** What makes sense with this address. */
export function deedsFor({address}: ReadyEvent): Deed[] {
  return address.startsWith('https://') ? ['qr', 'open', 'copy'] : ['copy'];
}

const DEEDS: Readonly<Record<Deed, (ready: ReadyEvent, audience: Audience) => Promise<void>>> = {
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
    // Terminals that know OSC 52 take it from here, also through ssh; whether they do they do not say.
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
