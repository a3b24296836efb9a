// What a person may want done with an address at once: shown as a QR code, copied, opened in the browser.

import type {ReadyEvent} from '../agent/events.js';
import type {Line} from './wording.js';

export interface GreetWishes {
  qr?: boolean | undefined;
  copy?: boolean | undefined;
  open?: boolean | undefined;
  /** Somebody else holds the tunnel; this process is about to leave. */
  detach?: boolean | undefined;
}

/** Loads what is wished for only. Never throws: the tunnel is up, whatever comes of this. */
export async function greet(
  ready: ReadyEvent,
  wishes: GreetWishes,
  tell: (line: Line) => void,
): Promise<void> {
  const say = (text: string) => tell({tone: 'plain', text});
  try {
    if (wishes.qr) for (const line of await qrLines(ready.address)) say(line);
    if (wishes.copy) {
      const {copy} = await import('../launch/desktop.js');
      const tool = await copy(ready.address);
      // Terminals that know OSC 52 take it from here, also through ssh.
      if (process.stderr.isTTY)
        process.stderr.write(`\x1b]52;c;${Buffer.from(ready.address).toString('base64')}\x07`);
      say(tool || process.stderr.isTTY ? 'sent to the clipboard' : 'no clipboard was found');
    }
    if (wishes.open) {
      const {openInBrowser} = await import('../launch/desktop.js');
      if (!(await openInBrowser(ready.address, !wishes.detach))) say('no browser could be opened');
    }
  } catch (error) {
    tell({tone: 'warning', text: error instanceof Error ? error.message : String(error)});
  }
}

/** Half blocks, dark on light in any colours: two modules to a character, one above the other. */
export async function qrLines(text: string): Promise<string[]> {
  const {renderUnicodeCompact} = await import('uqr');
  return renderUnicodeCompact(text, {border: 2}).split('\n');
}
