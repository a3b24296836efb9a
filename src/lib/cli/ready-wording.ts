// The sentences about a tunnel that is ready.

import {shellWord} from '../core/shell-word.js';
import {clockTime} from './format.js';
import {shareName} from './link-wording.js';
import type {Ready} from './tunnel-state.js';
import type {Line, Tone} from './wording.js';

const CONNECT =
  'They put the link into a file: `tunl connect --link-file FILE`, or with --listen 127.0.0.1:PORT.';

/**
 * A hint for somebody who publishes a page: names of tunnels are found. Nothing where only this machine gets in, or for a TCP port,
 * whose service has a login of its own as a rule.
 */
function openHint({open, relay, lan, tcp, program}: Ready): Line | undefined {
  if (!open || tcp !== undefined || (relay.embedded && lan === undefined)) return undefined;
  return program === 'jupyter'
    ? {tone: 'warning', text: 'everybody who has the address can run code here; --private asks for a link.'}
    : {tone: 'faint', text: 'Everybody who has the address can visit it; --private asks for a link.'};
}

/** How visitors come to a tunnel that is ready. */
export function readyLines(event: Ready): Line[] {
  const lines: Line[] = [];
  const visitors = event.tunnel === undefined ? 'Visitors' : `Visitors of ${event.tunnel}`;
  const say = (text: string, tone: Tone = 'faint') => lines.push({tone, text});
  if (event.tcp && event.url) say(`The same port over TLS: ${overTls(event) ?? event.url}`);
  if (!event.relay.embedded) {
    say(`${visitors} reach ${event.upstream} through the relay ${event.relay.url}.`);
    if (event.connect) say(CONNECT);
  } else if (event.lan !== undefined) {
    say(`${visitors} reach ${event.upstream} through a relay inside this process:`);
    inLocalNetwork(event, event.lan, say);
  } else {
    say(`${visitors} reach ${event.upstream} through a relay inside this process:`);
    say('this address works on this machine only.', 'warning');
    // An ssh command does not open in a browser.
    if (event.connect) say(CONNECT);
    else if (event.address.startsWith('https://') && event.url && event.relay.caFile) {
      say(`Try it: curl --cacert ${shellWord(event.relay.caFile)} ${tried(event)}`);
      if (event.nameUrl && !event.link) say(`In browsers also: ${event.nameUrl}`);
      say('Browsers: `tunl relay ca` says how to trust its certificate.');
    }
    say('For everybody: `tunl relay start` on a public machine, then --relay URL here.');
  }
  const hint = openHint(event);
  if (hint !== undefined) lines.push(hint);
  if (event.link)
    say(`Only visitors with this link get in. For a further one: tunl share ${shareName(event)}`);
  if (event.expiresAt) say(`Ends by itself at ${clockTime(new Date(event.expiresAt))}.`, 'plain');
  if (event.id) say(inBackground(event.id), 'plain');
  else say('Ctrl+C stops it.');
  return lines;
}

/** The quotes: a shell reads the question mark of a link. */
const tried = ({url = '', link}: Ready) => (link === undefined ? url : shellWord(link));

function inLocalNetwork(
  {url, link, tls, relay}: Ready,
  {interface: device, others}: NonNullable<Ready['lan']>,
  say: (text: string, tone?: Tone) => void,
): void {
  say(`everybody in this network (${device}) can connect, so the service needs a password.`, 'warning');
  if (others.length > 0)
    say(`This machine has other addresses, too: ${others.join(', ')}. --lan=ADDRESS chooses.`);
  say(
    'A phone does not know tunl’s certificate: its browser warns, and then opens the page (Safari: Show Details; Chrome: Advanced).',
  );
  say('Without the warning: docs/recipes.md, “A phone in the same network”.');
  if (tls) say(`Does the page not load there? This machine’s firewall must allow TCP port ${tls.port}.`);
  if (relay.caFile && url)
    say(`Try it here: curl --cacert ${shellWord(relay.caFile)} ${link ? shellWord(link) : url}`);
}

/** The ssh command that reaches the TLS name. */
function overTls({address, tls, relay}: Ready): string | undefined {
  const [, user] = /^ssh .*?(\S+)@\S+$/.exec(address) ?? [];
  if (user === undefined || !tls) return undefined;
  const ca = relay.caFile === undefined ? '' : ` --ca-file ${shellWord(relay.caFile)}`;
  const port = tls.port === 443 ? '' : `:${tls.port}`;
  return `ssh -o ProxyCommand=${shellWord(`tunl connect${ca} %h${port}`)} ${user}@${tls.host}`;
}

export const inBackground = (id: string) => `It runs in the background: tunl logs ${id}, tunl stop ${id}`;
