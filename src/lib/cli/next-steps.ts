// Next steps at the command line, for errors whose step names flags or commands. For all others the library's step is used.

import {ERRORS, type ErrorCode} from '../core/errors.js';

export const NEXT_STEPS: Readonly<Partial<Record<ErrorCode, string>>> = {
  USAGE: 'See `tunl COMMAND --help`.',
  H2_WITH_TCP: 'Leave out --h2 or --tcp.',
  GATE_WITH_TCP: 'Leave out --tcp, or --basic-auth, --oidc and --forwarded: --private works with it.',
  NOT_PRIVATE: 'Start the tunnel with --private.',
  LINK_UNKNOWN: '`tunl share list NAME` shows the links that work.',
  LINKS_TOO_MANY: 'Revoke some with `tunl share revoke`, or give links a time with --expires.',
  NO_TCP_SOCKET: 'Add --tcp.',
  OPTION_INVALID: 'See `tunl COMMAND --help`.',
  RELAY_CERTIFICATE:
    'For a relay with a private CA pass its file with --ca-file (`tunl relay ca` prints it).',
  SUCCESSOR_REFUSED: 'If it is your relay, allow its host with --follow.',
  RELAY_NEEDED: 'Log in once with `tunl login URL`, or give --relay URL (or TUNL_RELAY).',
  CONTEXT_UNKNOWN: '`tunl context list` shows the contexts; `tunl login URL` makes one.',
  TOKEN_MISSING: 'Log in with `tunl login URL`, or set TUNL_TOKEN or pass --token-file.',
  RELAY_NOT_RUNNING:
    'Run this as the relay’s user, with the same TUNL_STATE_DIR. `tunl relay start` starts a relay.',
  RELAYS_SEVERAL: 'Say which one with --pid.',
  NOT_CONNECTED: '`tunl relay status` shows the sessions, owners and names.',
  NAME_TAKEN: 'Choose another --subdomain.',
  PORT_TAKEN: 'Choose another --remote-port, or leave it out.',
  PORT_NOT_OFFERED: 'Choose a port of the relay’s range, or leave out --remote-port.',
  NO_FREE_PORT: 'Try again later, or ask for a larger --tcp-ports range.',
  H2_NOT_OFFERED: 'Leave out --h2, or start the relay with --shared-h2 or with its own CA.',
  TCP_NOT_OFFERED: 'Use a TLS tunnel, or start the relay with --tcp-ports.',
  VISITOR_NEEDS_H2: 'Add --h2, if the service speaks HTTP/2, as gRPC does.',
  VISITOR_NEEDS_HTTP1: 'Add --http1, if the service speaks both.',
  EGRESS_UNKNOWN: '`tunl egress list` shows the egresses that the relay offers to your token.',
  BACKGROUND_UNKNOWN: '`tunl list` shows the tunnels that run.',
  BACKGROUND_SILENT:
    'A running relay cannot be changed, only a tunnel can. `tunl stop` also ends a process that does not answer.',
  BACKGROUND_NAME_UNKNOWN: '`tunl list` shows the names.',
  BACKGROUND_NAME_USED: 'Give it another name: `tunl add ID NAME=TARGET`.',
  BACKGROUND_KEPT: '`tunl stop ID` ends the command.',
  LISTEN_IN_USE: 'Stop what listens there, or choose another --listen.',
  LAN_WITH_RELAY:
    'Leave out --lan or --relay; with TUNL_RELAY in the environment: `env -u TUNL_RELAY tunl …`.',
  LAN_WITH_TCP: 'Leave out --lan or --tcp.',
  TOKEN_UNKNOWN: '`tunl relay token list` shows the IDs.',
  TOKEN_NEEDED:
    'Make a token with `tunl relay token create`, pass one with --token-file or TUNL_TOKEN, or listen on 127.0.0.1.',
  PROGRAM_MISSING: 'Install it, or give its path with --bin.',
  PROGRAM_NOT_READY: 'Read its last lines above, or allow more time with --ready-timeout.',
  KEY_SOURCE: 'Check the name and the network, or give a key file with --key.',
  SANDBOX_BACKEND: '`tunl sandbox doctor` says what is missing, and how to mend it.',
  SANDBOX_LIMIT:
    '`tunl sandbox doctor` says which limits are real here; --best-effort goes on without the others.',
  SANDBOX_EGRESS: '`tunl sandbox doctor` says what is missing; --egress none always works.',
  SANDBOX_FAILED: 'Read the reason; `tunl sandbox doctor` checks this machine.',
  SANDBOX_ENDED: '`tunl sandbox ps --all` says why, `tunl sandbox logs ID` what it printed.',
  SANDBOX_UNKNOWN: '`tunl sandbox ps` shows the sandboxes that run.',
  SANDBOX_NAME_USED: 'Choose another --name, or end that one with `tunl sandbox stop NAME`.',
  SANDBOX_SILENT: 'Try again later; `tunl sandbox stop ID` also ends one that does not answer.',
  HUB_AWAY: 'Start one: `tunl hub start --config hub.yaml`.',
  HUB_SESSION_UNKNOWN: '`tunl hub ps --all` shows the sessions.',
  HUB_USER_UNKNOWN: '`tunl hub user list` shows the users.',
  UNEXPECTED: 'Report the problem with the output of `--log-level debug`.',
};

/** The next step for a command. An error with its own next step keeps it. */
export function nextStep({code, next}: {code: ErrorCode; next: string}): string {
  return next === ERRORS[code].next ? (NEXT_STEPS[code] ?? next) : next;
}
