// The flags of `tunl relay start`, and their options in the library.

import type {Interfaces} from '@oclif/core';
import {boolean, custom, string} from '@oclif/core/flags';
import {listenAddress, portRange, relayOrigin} from '../relay/addresses.js';
import {trustedSources} from '../relay/doors/trusted.js';
import {
  LONGEST_KEEP_ALIVE_MS,
  LONGEST_LEASE_GRACE_MS,
  LONGEST_RESUME_WINDOW_MS,
  LONGEST_VISITOR_IDLE_MS,
  type RelayOptions,
} from '../relay/options.js';
import {durationFlag, given, hostFlag, portFlag, read} from './flags.js';

const portsFlag = custom<readonly [first: number, last: number]>({
  helpValue: 'FIRST-LAST',
  parse: (text, _command, flag) => read(flag.name, () => portRange(text)),
});

const listenFlag = custom<string>({
  helpValue: 'HOST:PORT',
  parse: (text, _command, flag) =>
    read(flag.name, () => {
      listenAddress(text);
      return text;
    }),
});

const relayUrlFlag = custom<string>({
  helpValue: 'URL',
  parse: (text, _command, flag) => read(flag.name, () => relayOrigin(text)),
});

const sourceFlag = custom<string>({
  helpValue: 'RANGE',
  parse: (text, _command, flag) =>
    read(flag.name, () => {
      trustedSources([text]);
      return text;
    }),
});

const FILES = 'certificate and token';
const TIMES = 'time';

export const relayStartFlags = {
  domain: string({
    helpValue: 'NAME',
    summary: 'The relay’s name; tunnels get names below it. (tunl.localhost)',
  }),
  listen: listenFlag({
    summary: 'Where agents and visitors connect. (127.0.0.1, a free port)',
  }),
  'listen-http': listenFlag({summary: 'Where plain HTTP is redirected to HTTPS. (nowhere)'}),
  'public-port': portFlag({summary: 'The port in public addresses, behind a forwarder.'}),
  'tcp-ports': portsFlag({summary: 'Ports for --tcp tunnels, like 20000-20999; 0: any. (none)'}),
  'tcp-host': hostFlag({
    summary: 'Address that --tcp tunnels listen on. (that of --listen)',
  }),
  successor: relayUrlFlag({
    multiple: true,
    multipleNonGreedy: true,
    summary: 'Where agents go when this relay drains; repeatable. (they come back)',
  }),
  'reuse-port': boolean({summary: 'Let the next relay process listen before this one ends.'}),
  'trusted-source': sourceFlag({
    multiple: true,
    multipleNonGreedy: true,
    summary: 'Addresses without limits, such as 10.0.0.0/8 of a load balancer or gateway; repeatable.',
  }),
  'token-file': string({
    helpValue: 'FILE',
    summary: 'The token agents must show; safer here than in TUNL_TOKEN.',
    helpGroup: FILES,
  }),
  'cert-file': string({
    helpValue: 'FILE',
    summary: 'PEM certificate for NAME and *.NAME. (a private CA)',
    helpGroup: FILES,
  }),
  'key-file': string({helpValue: 'FILE', summary: 'Its private key.', helpGroup: FILES}),
  'shared-h2': boolean({
    summary: 'Offer h2 although all names share the certificate.',
    helpGroup: FILES,
  }),
  'resume-window': durationFlag({
    summary: 'How long open connections wait for a lost link. (10m)',
    longestMs: LONGEST_RESUME_WINDOW_MS,
    helpGroup: TIMES,
  }),
  'visitor-wait': durationFlag({
    summary: 'How long a new visitor waits for a lost link. (20s)',
    longestMs: LONGEST_RESUME_WINDOW_MS,
    helpGroup: TIMES,
  }),
  'lease-grace': durationFlag({
    summary: 'How long an owner keeps a name without an agent. (10m)',
    longestMs: LONGEST_LEASE_GRACE_MS,
    helpGroup: TIMES,
  }),
  'keep-alive': durationFlag({
    summary: 'Silence after which a visitor is probed. (30s)',
    longestMs: LONGEST_KEEP_ALIVE_MS,
    helpGroup: TIMES,
  }),
  'visitor-idle-timeout': durationFlag({
    summary: 'Reset a visitor that moves no byte for this time. (never)',
    zero: false,
    longestMs: LONGEST_VISITOR_IDLE_MS,
    helpGroup: TIMES,
  }),
  'drain-timeout': durationFlag({
    summary: 'Time for open connections to finish at the end. (30s)',
    helpGroup: TIMES,
  }),
  detach: boolean({summary: 'In the background: tunl list, tunl logs, tunl stop.'}),
};

/** The flags as options of `startRelay`. */
export function relayOptions(flags: Interfaces.InferredFlags<typeof relayStartFlags>): RelayOptions {
  return given({
    successors: flags.successor,
    trustedSources: flags['trusted-source'],
    reusePort: flags['reuse-port'],
    domain: flags.domain,
    listen: flags.listen,
    listenHttp: flags['listen-http'],
    publicPort: flags['public-port'],
    tcpPorts: flags['tcp-ports'],
    tcpHost: flags['tcp-host'],
    tokenFile: flags['token-file'],
    certFile: flags['cert-file'],
    keyFile: flags['key-file'],
    sharedH2: flags['shared-h2'],
    resumeWindowMs: flags['resume-window'],
    keepAliveMs: flags['keep-alive'],
    visitorIdleTimeoutMs: flags['visitor-idle-timeout'],
    visitorWaitMs: flags['visitor-wait'],
    leaseGraceMs: flags['lease-grace'],
  });
}
