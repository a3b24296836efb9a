// The flags of `tunl expose`, and what they mean to the library.

import type {Interfaces} from '@oclif/core';
import {boolean, string} from '@oclif/core/flags';
import type {ForwardOptions} from '../agent/options.js';
import {durationFlag, given, portFlag} from './flags.js';

const RELAY = 'relay';

export const exposeFlags = {
  tcp: boolean({summary: 'A raw TCP port of the relay: ssh, databases.'}),
  h2: boolean({summary: 'Offer HTTP/2 to visitors (gRPC). Not with --tcp.'}),
  subdomain: string({helpValue: 'NAME', summary: 'A name of your own instead of a random one.'}),
  'new-name': boolean({summary: 'A fresh random name instead of the last one.'}),
  'remote-port': portFlag({summary: 'With --tcp: this port instead of a random one.'}),
  'local-host': string({helpValue: 'HOST', summary: 'The upstream’s host where TARGET is a port.'}),
  'drain-timeout': durationFlag({summary: 'How long connections may finish after Ctrl+C. (5s)'}),
  relay: string({
    helpValue: 'URL',
    env: 'TUNL_RELAY',
    summary: 'The relay. (one inside this process)',
    helpGroup: RELAY,
  }),
  'token-file': string({
    helpValue: 'FILE',
    summary: 'The relay’s token; or set TUNL_TOKEN.',
    helpGroup: RELAY,
  }),
  'ca-file': string({
    helpValue: 'FILE',
    env: 'TUNL_CA_FILE',
    summary: 'CA of a relay with a private one.',
    helpGroup: RELAY,
  }),
  wait: boolean({summary: 'Keep trying when the relay is not there yet.', helpGroup: RELAY}),
  'max-retry-time': durationFlag({
    summary: 'Give up when the link was away this long. (never)',
    helpGroup: RELAY,
  }),
};

/** The flags as options of `forward`. */
export function forwardOptions(flags: Interfaces.InferredFlags<typeof exposeFlags>): ForwardOptions {
  return {
    unencrypted: flags.tcp,
    h2: flags.h2,
    newName: flags['new-name'],
    wait: flags.wait,
    ...given({
      subdomain: flags.subdomain,
      remotePort: flags['remote-port'],
      relay: flags.relay,
      tokenFile: flags['token-file'],
      caFile: flags['ca-file'],
      maxRetryTimeMs: flags['max-retry-time'],
    }),
  };
}
