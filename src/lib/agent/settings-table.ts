// The settings of a tunnel, each declared once: `forward` checks and completes its options with these tables, and commands
// with a tunnel make their flags from them. docs/decisions/0028-one-table-of-settings.md says how to add a setting.

import {file, list, onOff, setting, text, time} from '../core/settings.js';
import {usableState} from '../core/usable-state.js';
import {MAX_RANGES} from '../protocol/control-messages.js';
import {host, port, tunnelName} from '../protocol/setting-kinds.js';
import {addressRange, issuerUrl, lanAddress, proxyVersion, whenToWatch} from './setting-kinds.js';

const RELAY = 'relay';
const UPSTREAM = 'upstream';
const VISITORS = 'visitors';

/** The protocol that visitors get. */
export const PROTOCOL_SETTINGS = {
  unencrypted: setting(onOff, {
    default: false,
    flag: 'tcp',
    help: 'A raw TCP port of the relay, for ssh or databases.',
  }),
  h2: setting(onOff, {
    default: false,
    flag: 'h2',
    help: 'Offer HTTP/2 to visitors, for gRPC. Not with --tcp.',
  }),
  http1: setting(onOff, {
    default: false,
    flag: 'http1',
    help: 'With --h2: offer HTTP/1.1 too, for a service with both.',
  }),
};

export const NAME_SETTINGS = {
  subdomain: setting(tunnelName, {
    flag: 'subdomain',
    help: 'This name instead of a random one.',
  }),
  newName: setting(onOff, {
    default: false,
    flag: 'new-name',
    help: 'A new random name instead of the last one.',
  }),
};

/** The address at the relay, and the upstream. */
export const ENDS_SETTINGS = {
  remotePort: setting(port, {
    flag: 'remote-port',
    help: 'With --tcp: this port instead of a random one.',
  }),
  host: setting(host('TARGET_INVALID'), {
    flag: 'local-host',
    help: 'Host of the service when TARGET is a port.',
  }),
  waitUpstreamMs: setting(time(), {
    default: 0,
    flag: 'wait-upstream',
    help: 'How long visitors wait for the service.',
  }),
  offlinePage: setting(onOff, {
    default: false,
    flag: 'offline-page',
    help: 'While it is down, HTTP visitors get a page that reloads.',
  }),
};

/** Additions to the visitor's bytes, for the upstream. */
export const UPSTREAM_SETTINGS = {
  proxyProtocol: setting(proxyVersion, {
    flag: 'proxy-protocol',
    help: 'Tell it visitors’ addresses by a PROXY header.',
    group: UPSTREAM,
  }),
};

/** The visitors that may come in. */
export const GATE_SETTINGS = {
  private: setting(onOff, {
    default: false,
    flag: 'private',
    help: 'Only with the printed link, or one by tunl share.',
    group: VISITORS,
  }),
  basicAuth: setting(text('USER'), {
    flag: 'basic-auth',
    help: 'Ask visitors for this name and a password.',
    group: VISITORS,
  }),
  basicAuthPassword: setting(text('PASSWORD'), {
    env: 'TUNL_BASIC_AUTH_PASSWORD',
    envUnless: 'basicAuthFile',
  }),
  basicAuthFile: setting(file, {
    flag: 'basic-auth-file',
    help: 'The password, on the first line.',
    group: VISITORS,
  }),
  oidc: setting(text('ISSUER', issuerUrl), {
    flag: 'oidc',
    help: 'They sign in at this issuer of identities.',
    group: VISITORS,
  }),
  oidcAllow: setting(list(text('WHO')), {
    default: [],
    flag: 'oidc-allow',
    help: 'Who may: *@example.com, groups=dev; repeatable.',
    group: VISITORS,
  }),
  oidcClient: setting(text('ID'), {
    flag: 'oidc-client',
    help: 'The client at the issuer.',
    group: VISITORS,
  }),
  oidcSecret: setting(text('SECRET'), {env: 'TUNL_OIDC_SECRET', envUnless: 'oidcSecretFile'}),
  oidcSecretFile: setting(file, {
    flag: 'oidc-secret-file',
    help: 'Its secret, on the first line, if it has one.',
    group: VISITORS,
  }),
  oidcCaFile: setting(file, {env: 'TUNL_OIDC_CA_FILE'}),
  forwarded: setting(onOff, {
    default: false,
    flag: 'forwarded',
    help: 'Tell the service their addresses in headers.',
    group: VISITORS,
  }),
};

/** The visitors that may come in, as far as the relay decides it. */
export const ADDRESS_SETTINGS = {
  cidrAllow: setting(list(addressRange, {most: MAX_RANGES}), {
    flag: 'cidr-allow',
    help: 'Only visitors from this address or range; repeatable.',
    group: VISITORS,
  }),
  cidrDeny: setting(list(addressRange, {most: MAX_RANGES}), {
    flag: 'cidr-deny',
    help: 'No visitors from this address or range; repeatable.',
    group: VISITORS,
  }),
};

/** TLS to an upstream with an https:// URL. */
export const UPSTREAM_TLS_SETTINGS = {
  caFile: setting(file, {
    flag: 'upstream-ca',
    help: 'CA of an https:// TARGET, besides the system’s.',
    group: UPSTREAM,
  }),
  serverName: setting(host('OPTION_INVALID', 'NAME'), {
    defaultText: 'its host',
    flag: 'upstream-server-name',
    help: 'Name in the upstream’s certificate.',
    group: UPSTREAM,
  }),
  certFile: setting(file, {
    flag: 'upstream-cert',
    help: 'Client certificate for the upstream.',
    group: UPSTREAM,
  }),
  keyFile: setting(file, {
    flag: 'upstream-key',
    help: 'Key of the client certificate.',
    group: UPSTREAM,
  }),
  insecure: setting(onOff, {
    default: false,
    flag: 'upstream-insecure',
    help: 'Do not check the upstream’s certificate.',
    group: UPSTREAM,
  }),
};

/** The link to the relay. Tunnels share one only if all of these are equal. */
export const LINK_SETTINGS = {
  relay: setting(text('URL'), {
    defaultText: 'one inside this process',
    flag: 'relay',
    env: 'TUNL_RELAY',
    help: 'The relay.',
    group: RELAY,
  }),
  context: setting(text('NAME'), {
    defaultText: 'the current one',
    flag: 'context',
    env: 'TUNL_CONTEXT',
    help: 'A stored login.',
    group: RELAY,
  }),
  token: setting(text('TOKEN'), {env: 'TUNL_TOKEN', envUnless: 'tokenFile'}),
  tokenFile: setting(file, {
    flag: 'token-file',
    help: 'The relay’s token; safer here than in TUNL_TOKEN.',
    group: RELAY,
  }),
  caFile: setting(file, {
    flag: 'ca-file',
    env: 'TUNL_CA_FILE',
    help: 'CA of a relay with a private CA.',
    group: RELAY,
  }),
  follow: setting(list(host('OPTION_INVALID')), {
    default: [],
    flag: 'follow',
    help: 'Host of another relay to move to if asked; repeatable.',
    group: RELAY,
  }),
  wait: setting(onOff, {
    default: false,
    flag: 'wait',
    help: 'Keep trying until the relay is there.',
    group: RELAY,
  }),
  maxRetryTimeMs: setting(time(), {
    defaultText: 'never',
    flag: 'max-retry-time',
    help: 'Give up after this time without the relay.',
    group: RELAY,
  }),
  connectTimeoutMs: setting(time(), {default: 10_000}),
  stateDir: setting(text('FOLDER'), {default: () => usableState().path}),
};

/** A relay inside this process that listens in the local network. */
export const LAN_SETTINGS = {
  lan: setting(lanAddress, {
    flag: 'lan',
    help: 'An address for phones in the same network.',
    group: RELAY,
  }),
};

/** Events about the upstream. */
export const REPORT_SETTINGS = {
  watchUpstream: setting(whenToWatch, {default: 'when refused'}),
  explainHostChecks: setting(onOff, {default: false}),
};

/** Whether the address is tried from outside before it is told, and after each lost link. */
export const PROBE_SETTINGS = {
  probe: setting(onOff, {
    default: true,
    flag: 'no-probe',
    key: 'probe',
    help: 'Try the public address from outside.',
    off: 'Do not try the public address from outside.',
    group: RELAY,
  }),
};

/** All options of `forward` that are values, except `upstreamTls`. */
export const FORWARD_SETTINGS = {
  ...PROTOCOL_SETTINGS,
  ...NAME_SETTINGS,
  ...ENDS_SETTINGS,
  ...UPSTREAM_SETTINGS,
  ...GATE_SETTINGS,
  ...ADDRESS_SETTINGS,
  ...LINK_SETTINGS,
  ...LAN_SETTINGS,
  ...REPORT_SETTINGS,
  ...PROBE_SETTINGS,
  /** A command gives visitors more time than a program: see the command's table. */
  drainTimeoutMs: setting(time(), {default: 0}),
};
