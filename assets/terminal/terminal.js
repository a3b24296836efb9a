// The page of the web terminal: xterm.js, as large as the server says, fed and read by the link.
import {FitAddon} from './addon-fit.mjs';
import {Unicode11Addon} from './addon-unicode11.mjs';
import {showKeys} from './keys.js';
import {openLink} from './link.js';
import {Terminal} from './xterm.mjs';

const SCROLLBACK = 2_000;

const isTouch = matchMedia('(pointer: coarse)').matches;
const term = new Terminal({
  allowProposedApi: true,
  cursorBlink: true,
  fontFamily:
    'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace',
  fontSize: isTouch ? 13 : 15,
  macOptionIsMeta: true,
  scrollback: SCROLLBACK,
  theme: {background: '#16181d', foreground: '#d7dae0', selectionBackground: '#4c6fb1aa'},
});
const fit = new FitAddon();
term.loadAddon(fit);
term.loadAddon(new Unicode11Addon());
term.unicode.activeVersion = '11';
term.open(document.getElementById('window'));
leaveQuestionsToServer();

let readOnly = false;
const status = document.getElementById('status');
const say = (text) => {
  status.textContent = text;
  status.hidden = text === '';
};

/** What fits into the window; nothing while nobody sees it. */
function size() {
  if (document.hidden) return {};
  const fits = fit.proposeDimensions();
  return fits === undefined ? {} : {cols: fits.cols, rows: fits.rows};
}

const link = openLink({
  size,
  onOpen: () => say(''),
  onLost: () => say('Connection lost. Trying again …'),
  onOutput: (bytes, read) => term.write(bytes, read),
  onMessage: (message) => {
    // Behind the output that came before it.
    if (message.type === 'size') {
      term.write('', () => {
        term.resize(message.cols, message.rows);
        readOnly = message.readOnly;
        term.options.disableStdin = readOnly;
        document.body.dataset.ready = 'yes';
      });
    }
    if (message.type === 'end') {
      const how = message.signal ?? (message.code === 0 ? '' : `exit code ${message.code}`);
      say(`The shell has ended${how === '' ? '' : ` (${how})`}.`);
      term.write('', () => (term.options.disableStdin = true));
    }
  },
});

const encoder = new TextEncoder();
const send = (text) => {
  if (!readOnly) link.input(encoder.encode(text));
};
const withKeys = isTouch ? showKeys(term, send) : (text) => text;
term.onData((text) => send(withKeys(text)));
// Reports of the mouse in its oldest form are bytes, not text.
term.onBinary((text) => {
  if (!readOnly) link.input(Uint8Array.from(text, (char) => char.charCodeAt(0)));
});
term.onTitleChange((title) => (document.title = title || 'terminal'));

let told = '';
const tellSize = () => {
  const now = size();
  const text = JSON.stringify(now);
  if (text === told) return;
  told = text;
  link.tell({type: 'size', ...now});
};
new ResizeObserver(tellSize).observe(document.getElementById('window'));
document.addEventListener('visibilitychange', tellSize);
document.fonts.ready.then(tellSize);

term.attachCustomKeyEventHandler((event) => {
  const isCopy =
    (event.ctrlKey && event.shiftKey && event.code === 'KeyC') || (event.ctrlKey && event.code === 'Insert');
  const isPaste =
    (event.ctrlKey && event.shiftKey && event.code === 'KeyV') || (event.shiftKey && event.code === 'Insert');
  if (isCopy && term.hasSelection()) {
    if (event.type === 'keydown') navigator.clipboard.writeText(term.getSelection());
    event.preventDefault();
    return false;
  }
  // The browser pastes.
  return !isPaste;
});
term.focus();

/**
 * Programs ask the terminal for its kind, its state, the place of the cursor. The server answers for all pages: each page
 * would answer as well, and the shell would take the second answer for something typed.
 */
function leaveQuestionsToServer() {
  const {parser} = term;
  const swallow = () => true;
  for (const id of [
    {final: 'c'},
    {prefix: '>', final: 'c'},
    {prefix: '=', final: 'c'},
    {prefix: '>', final: 'q'},
    {final: 'n'},
    {prefix: '?', final: 'n'},
    {intermediates: '$', final: 'p'},
    {prefix: '?', intermediates: '$', final: 'p'},
    {final: 't'},
    {prefix: '?', final: 'u'},
  ]) {
    parser.registerCsiHandler(id, swallow);
  }
  parser.registerDcsHandler({intermediates: '$', final: 'q'}, swallow);
  // Colours: a question has a `?`; what sets one goes through.
  for (const id of [4, 10, 11, 12]) parser.registerOscHandler(id, (text) => text.includes('?'));
}
