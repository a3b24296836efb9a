// Actions on the addresses: show them as QR codes, copy them, open them in the browser. A flag does it at once, a key later.

import {isLoopbackHost} from '../agent/target.js';
import type {Ready} from './tunnel-state.js';
import type {Line} from './wording.js';

export type Action = 'qr' | 'copy' | 'open';

export type GreetOptions = {[K in Action]?: boolean | undefined};

/** The output for people, and the properties of its terminal. */
export interface Audience {
  tell: (line: Line) => void;
  /** Writes a control sequence for the terminal; absent without a terminal. */
  order?: ((text: string) => unknown) | undefined;
  columns?: () => number | undefined;
  /** This process is about to end, because another one holds the tunnel. */
  leaves?: boolean;
}

/** The person at the terminal of this process. */
export function audienceOf({tell}: {tell: Audience['tell']}): Audience {
  const {stderr, env} = process;
  const isScreen = stderr.isTTY && env.TERM !== 'dumb';
  return {
    tell,
    ...(isScreen && {order: (text: string) => stderr.write(text), columns: () => stderr.columns}),
  };
}

/** In the order of use: opening the browser comes last. */
export async function greet(
  readies: readonly Ready[],
  wishes: GreetOptions,
  audience: Audience,
): Promise<void> {
  // The address is for a phone, and nobody types it there.
  const isForPhone = audience.order !== undefined && readies.some(({lan}) => lan !== undefined);
  const all = {...wishes, qr: wishes.qr || isForPhone};
  for (const action of ['qr', 'copy', 'open'] as const)
    if (all[action]) await perform(action, readies, audience);
}

/** Loads only the code that is needed. Never throws: a failed action does not end the tunnel. */
export async function perform(action: Action, readies: readonly Ready[], audience: Audience): Promise<void> {
  try {
    await ACTIONS[action](readies, audience);
  } catch (error) {
    audience.tell({tone: 'warning', text: error instanceof Error ? error.message : String(error)});
  }
}

/** The actions that are possible with these addresses. */
export function actionsFor(readies: readonly Ready[]): Action[] {
  if (!readies.some(isPage)) return ['copy'];
  return readies.every(isForHereOnly) ? ['open', 'copy'] : ['qr', 'open', 'copy'];
}

/**
 * A phone that reads the code of such an address would look for the tunnel on itself. A given relay may be one that is
 * forwarded.
 */
const isForHereOnly = ({relay, lan}: Ready) =>
  relay.embedded && lan === undefined && isLoopbackHost(new URL(relay.url).hostname);

/** A browser and a phone's camera can use only addresses of pages. */
const isPage = ({address, connect}: Ready) => address.startsWith('https://') && !connect;

const NO_PAGE = 'none of the addresses is for a browser';

const ACTIONS: Readonly<Record<Action, (readies: readonly Ready[], audience: Audience) => Promise<void>>> = {
  async qr(readies, {tell, columns}) {
    if (readies.every(isForHereOnly)) {
      tell({tone: 'warning', text: 'no QR code: the address works on this machine only'});
      return;
    }
    // Among several addresses only those of pages are shown; a single one is always shown.
    const shown = readies.length > 1 ? readies.filter(isPage) : readies;
    for (const {address, tunnel} of shown) {
      if (readies.length > 1) tell({tone: 'plain', text: `${tunnel}  ${address}`});
      const lines = await qrLines(address);
      const width = lines[0]?.length ?? 0;
      const there = columns?.() || width;
      if (there < width)
        tell({tone: 'warning', text: `the QR code needs ${width} columns; the window has ${there}`});
      else for (const text of lines) tell({tone: 'plain', text});
    }
    if (shown.length === 0) tell({tone: 'warning', text: NO_PAGE});
  },
  async copy(readies, {tell, order}) {
    const {copy} = await import('../launch/desktop.js');
    const text = readies.map(({address}) => address).join('\n');
    // A terminal that knows OSC 52 takes the text, also through ssh. It does not confirm that.
    order?.(`\x1b]52;c;${Buffer.from(text).toString('base64')}\x07`);
    if ((await copy(text)) || order) tell({tone: 'plain', text: 'sent to the clipboard'});
    else tell({tone: 'warning', text: 'there is no clipboard here'});
  },
  async open(readies, {tell, leaves}) {
    const pages = readies.filter(isPage);
    if (pages.length === 0) {
      const [only, ...others] = readies;
      const text = only && others.length === 0 ? `${only.address} is no address for a browser` : NO_PAGE;
      tell({tone: 'warning', text});
      return;
    }
    const {openInBrowser} = await import('../launch/desktop.js');
    for (const {address} of pages) {
      const why = await openInBrowser(address, {stays: !leaves});
      if (why !== undefined) {
        tell({tone: 'warning', text: `no browser could be opened: ${why}`});
        return;
      }
    }
    tell({tone: 'plain', text: 'sent to the browser'});
  },
};

/** Half blocks, dark on light in any colours: two modules to a character, one above the other. */
export async function qrLines(text: string): Promise<string[]> {
  const {renderUnicodeCompact} = await import('uqr');
  return renderUnicodeCompact(text, {border: 2}).split('\n');
}
