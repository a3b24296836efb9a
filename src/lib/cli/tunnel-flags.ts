// The flags that commands with a tunnel share, and their options in the library.

import type {Interfaces} from '@oclif/core';
import {boolean, string} from '@oclif/core/flags';
import type {ForwardOptions} from '../agent/options.js';
import {durationFlag, given, hostFlag, portFlag} from './flags.js';

const RELAY = 'relay';
const LIFE = 'life';
const COMMAND = 'command';
const UPSTREAM = 'upstream';

export const nameFlags = {
  subdomain: string({helpValue: 'NAME', summary: 'A name of your own instead of a random one.'}),
  'new-name': boolean({summary: 'A fresh random name instead of the last one.'}),
};

export const lifeFlags = {
  expires: durationFlag({summary: 'End after this time.', zero: false, helpGroup: LIFE}),
  'idle-timeout': durationFlag({
    summary: 'End after this time without a visitor.',
    zero: false,
    helpGroup: LIFE,
  }),
  'drain-timeout': durationFlag({
    summary: 'Time for connections to finish after Ctrl+C. (5s)',
    helpGroup: LIFE,
  }),
  detach: boolean({summary: 'In the background: tunl list, tunl logs, tunl stop.', helpGroup: LIFE}),
};

/** For every address that is shown. */
export const copyFlag = {
  copy: boolean({summary: 'Copy the address to the clipboard.', helpGroup: 'output'}),
  'no-keys': boolean({summary: 'Read no keys: no q, o, c, ?.', helpGroup: 'output'}),
};

/** For addresses that a browser opens. */
export const showFlags = {
  open: boolean({summary: 'Open the address in the browser.', helpGroup: 'output'}),
  qr: boolean({summary: 'Show the address as a QR code.', helpGroup: 'output'}),
  ...copyFlag,
};

export const relayFlags = {
  relay: string({
    helpValue: 'URL',
    env: 'TUNL_RELAY',
    summary: 'The relay. (one inside this process)',
    helpGroup: RELAY,
  }),
  'token-file': string({
    helpValue: 'FILE',
    summary: 'The relay’s token; safer here than in TUNL_TOKEN.',
    helpGroup: RELAY,
  }),
  'ca-file': string({
    helpValue: 'FILE',
    env: 'TUNL_CA_FILE',
    summary: 'CA of a relay with a private one.',
    helpGroup: RELAY,
  }),
  follow: hostFlag({
    multiple: true,
    multipleNonGreedy: true,
    summary: 'Host that the relay may send this agent to; repeatable.',
    helpGroup: RELAY,
  }),
  wait: boolean({summary: 'Keep trying when the relay is not there yet.', helpGroup: RELAY}),
  'max-retry-time': durationFlag({
    summary: 'Give up after this time without a link. (never)',
    helpGroup: RELAY,
  }),
};

/** Flags of `expose` only. */
const targetFlags = {
  tcp: boolean({summary: 'A raw TCP port of the relay: ssh, databases.'}),
  h2: boolean({summary: 'Offer HTTP/2 to visitors, for gRPC. Not with --tcp.'}),
  http1: boolean({summary: 'With --h2: offer HTTP/1.1 too, for a service with both.'}),
  'remote-port': portFlag({summary: 'With --tcp: this port instead of a random one.'}),
  'local-host': hostFlag({summary: 'Host of the upstream when TARGET is a port.'}),
  'wait-upstream': durationFlag({
    summary: 'How long visitors wait for the service. (0s)',
  }),
};

/** For a TARGET that is an https:// URL. */
const upstreamFlags = {
  'upstream-ca': string({
    helpValue: 'FILE',
    summary: 'CA of an https:// TARGET, besides the system’s.',
    helpGroup: UPSTREAM,
  }),
  'upstream-server-name': hostFlag({
    helpValue: 'NAME',
    summary: 'Name in its certificate. (its host)',
    helpGroup: UPSTREAM,
  }),
  'upstream-cert': string({
    helpValue: 'FILE',
    summary: 'Client certificate for the upstream.',
    helpGroup: UPSTREAM,
  }),
  'upstream-key': string({helpValue: 'FILE', summary: 'Key of the client certificate.', helpGroup: UPSTREAM}),
  'upstream-insecure': boolean({summary: 'Accept any certificate.', helpGroup: UPSTREAM}),
};
export const upstreamFlagNames = Object.keys(upstreamFlags) as (keyof typeof upstreamFlags)[];

const {tcp, h2, http1, ...places} = targetFlags;
export const exposeFlags = {
  tcp,
  h2,
  http1,
  ...nameFlags,
  ...places,
  ...upstreamFlags,
  ...lifeFlags,
  ...relayFlags,
  ...showFlags,
};
export const remotePortFlag = {
  'remote-port': portFlag({summary: 'This port instead of a random one. Not with --tls.'}),
};

/** A timer of Node runs for 24 days at most; a week stays well below that. */
const LONGEST_READY_MS = 7 * 86_400_000;

/** Flags of commands that know their program. */
export const programFlags = {
  bin: string({helpValue: 'FILE', summary: 'This program instead of the one that is found.'}),
  'ready-timeout': durationFlag({
    summary: 'Time until the program answers.',
    zero: false,
    longestMs: LONGEST_READY_MS,
  }),
};

/** Flags of commands whose program opens in a browser. */
export const webProgramFlags = {...programFlags, ...nameFlags, ...lifeFlags, ...relayFlags, ...showFlags};

/** For `expose … -- COMMAND`. */
export const commandFlags = {
  'ready-path': string({
    helpValue: 'PATH',
    summary: 'Ready when GET PATH returns 2xx, 3xx. (port is open)',
    helpGroup: COMMAND,
  }),
  'ready-timeout': durationFlag({
    summary: 'Time until the command is ready. (60s)',
    zero: false,
    longestMs: LONGEST_READY_MS,
    helpGroup: COMMAND,
  }),
};

export type TunnelFlags = Interfaces.InferredFlags<typeof lifeFlags & typeof relayFlags> &
  Partial<
    Interfaces.InferredFlags<typeof targetFlags & typeof upstreamFlags & typeof nameFlags & typeof showFlags>
  >;

function upstreamTlsOf(flags: TunnelFlags): ForwardOptions['upstreamTls'] {
  const tls = given({
    caFile: flags['upstream-ca'],
    serverName: flags['upstream-server-name'],
    certFile: flags['upstream-cert'],
    keyFile: flags['upstream-key'],
    insecure: flags['upstream-insecure'] || undefined,
  });
  return Object.keys(tls).length === 0 ? undefined : tls;
}

/** The flags as options of `forward`. */
export function forwardOptions(flags: TunnelFlags): ForwardOptions {
  return {
    unencrypted: flags.tcp ?? false,
    h2: flags.h2 ?? false,
    http1: flags.http1 ?? false,
    newName: flags['new-name'] ?? false,
    wait: flags.wait,
    ...given({
      subdomain: flags.subdomain,
      remotePort: flags['remote-port'],
      waitUpstreamMs: flags['wait-upstream'],
      upstreamTls: upstreamTlsOf(flags),
      relay: flags.relay,
      tokenFile: flags['token-file'],
      caFile: flags['ca-file'],
      follow: flags.follow,
      maxRetryTimeMs: flags['max-retry-time'],
    }),
  };
}

/** The same for a program that the command knows. */
export function launchWishes(flags: Interfaces.InferredFlags<typeof programFlags>) {
  return {bin: flags.bin, readyTimeoutMs: flags['ready-timeout']};
}
