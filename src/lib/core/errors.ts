// The table of all errors: code, sentence, exit code, whether a retry may help, next step.
// A test compares `docs/errors.md` with it. Code must compare error codes and never read messages.

/** Exit codes of the `tunl` command. Stable: scripts rely on them. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  relayUnreachable: 3,
  refused: 4,
  unavailable: 5,
  upstream: 6,
  incompatible: 7,
  local: 8,
  interrupted: 130,
} as const;

export interface ErrorRow {
  /** One sentence that says what happened, without details of the case. */
  sentence: string;
  /** The process's exit code when this error ends a command. */
  exitCode: number;
  /** True when the same call may succeed later without any change by a person. */
  retryable: boolean;
  /** The next step for the user. */
  next: string;
}

const row = (sentence: string, exitCode: number, retryable: boolean, next: string): ErrorRow => ({
  sentence,
  exitCode,
  retryable,
  next,
});

const violation = (sentence: string): ErrorRow =>
  row(sentence, EXIT.incompatible, false, 'Update both sides. If they are current, report the problem.');

export const ERRORS = {
  // Input
  USAGE: row('The command line is not valid.', EXIT.usage, false, 'Correct the command line.'),
  PORT_INVALID: row(
    'The port is not a whole number.',
    EXIT.usage,
    false,
    'Give a port from 1 to 65535, or HOST:PORT.',
  ),
  PORT_RANGE: row('The port is outside 1–65535.', EXIT.usage, false, 'Give a port from 1 to 65535.'),
  TARGET_INVALID: row(
    'The target is not a port or HOST:PORT.',
    EXIT.usage,
    false,
    'Write it like 8000, localhost:8000 or [::1]:8000.',
  ),
  SOCKET_INVALID: row(
    'This is not a valid path of a Unix socket.',
    EXIT.usage,
    false,
    'Give the path of the socket that the service listens on, like unix:/run/app.sock.',
  ),
  H2_WITH_TCP: row(
    'h2 needs TLS; an unencrypted tunnel has none.',
    EXIT.usage,
    false,
    'Leave out one of the two options.',
  ),
  GATE_WITH_TCP: row(
    'A password or a header is for HTTP requests; a TCP tunnel carries any bytes.',
    EXIT.usage,
    false,
    'Leave out one of the two options, or make the tunnel private.',
  ),
  NOT_PRIVATE: row('The tunnel is not private: it has no links.', EXIT.usage, false, 'Start it as private.'),
  LINK_UNKNOWN: row(
    'The tunnel has no such link.',
    EXIT.usage,
    false,
    'List its links: expired and revoked ones are not among them.',
  ),
  LINK_INVALID: row(
    'The link does not open the tunnel.',
    EXIT.refused,
    false,
    'It may have expired, have been used or been withdrawn: ask for a new one.',
  ),
  LINKS_TOO_MANY: row(
    'The tunnel has too many links.',
    EXIT.unavailable,
    false,
    'Revoke some, or give links a time to expire.',
  ),
  PORT_FORWARDED_TWICE: row(
    'This port is forwarded already.',
    EXIT.usage,
    false,
    'Close the other tunnel of this port first, or use its address.',
  ),
  NO_TCP_SOCKET: row(
    'This tunnel is encrypted only; it has no TCP socket.',
    EXIT.usage,
    false,
    'Ask for an unencrypted tunnel.',
  ),
  NAME_INVALID: row(
    'The name cannot be a tunnel name.',
    EXIT.usage,
    false,
    'Use 1 to 63 letters (a to z), digits and hyphens, with no hyphen at either end.',
  ),
  NAME_RESERVED: row(
    'The name is reserved.',
    EXIT.usage,
    false,
    'Choose another name. docs/own-relay.md lists the reserved ones.',
  ),
  OPTION_INVALID: row('The value of an option is not valid.', EXIT.usage, false, 'Give a valid value.'),
  RELAY_URL_INVALID: row(
    'The relay address is not an https URL.',
    EXIT.usage,
    false,
    'Write it like https://relay.example.net or https://relay.example.net:8443.',
  ),
  RELAY_NEEDED: row(
    'No relay is given, and this needs one elsewhere.',
    EXIT.usage,
    false,
    'Log in at a relay, or give its URL.',
  ),
  CONTEXT_UNKNOWN: row(
    'There is no such context.',
    EXIT.usage,
    false,
    'Log in at the relay, or choose one of the stored contexts.',
  ),
  // Relay, from the agent's side
  RELAY_NAME_UNKNOWN: row(
    'The relay’s name does not resolve.',
    EXIT.relayUnreachable,
    true,
    'Check the spelling of the relay’s address and this machine’s DNS.',
  ),
  RELAY_REFUSED: row(
    'Nothing accepts connections at the relay’s address.',
    EXIT.relayUnreachable,
    true,
    'Check that the relay runs and that the port is right.',
  ),
  RELAY_TIMEOUT: row(
    'The relay did not answer in time.',
    EXIT.relayUnreachable,
    true,
    'Check the network, firewalls and HTTPS_PROXY.',
  ),
  RELAY_LOST: row(
    'The link to the relay was lost.',
    EXIT.relayUnreachable,
    true,
    'Check the network; the relay may have been restarted.',
  ),
  RELAY_CERTIFICATE: row(
    'The relay’s certificate is not trusted.',
    EXIT.relayUnreachable,
    false,
    'For a relay with a private CA give the certificate of that CA.',
  ),
  RELAY_NOT_TUNL: row(
    'The server at the relay’s address is not a tunl relay.',
    EXIT.relayUnreachable,
    false,
    'Check the address: a relay prints it when it starts.',
  ),
  RELAY_LEAVING: row(
    'The relay is shutting down.',
    EXIT.relayUnreachable,
    true,
    'Nothing: the agent continues at the next relay, or here when this one is back.',
  ),
  SUCCESSOR_REFUSED: row(
    'The relay sends this agent to a relay that is not allowed.',
    EXIT.relayUnreachable,
    true,
    'If it is your relay, allow its host.',
  ),
  RELAY_BUSY: row(
    'The relay takes no new agents or tunnels at the moment.',
    EXIT.relayUnreachable,
    true,
    'Try again later.',
  ),
  PROXY_FAILED: row(
    'The HTTP proxy refused the connection to the relay.',
    EXIT.relayUnreachable,
    true,
    'Check HTTPS_PROXY and NO_PROXY.',
  ),
  RELAY_TOO_OLD: row(
    'The relay is too old for this tunl.',
    EXIT.incompatible,
    false,
    'Update the relay, or use an older tunl.',
  ),
  RELAY_LACKS_FEATURE: row(
    'The relay cannot do what the tunnel asks for.',
    EXIT.incompatible,
    false,
    'Update the relay, or leave the option out.',
  ),
  RELAY_TOO_NEW: row(
    'The relay no longer speaks this tunl’s protocol.',
    EXIT.incompatible,
    false,
    'Update tunl.',
  ),
  TOKEN_MISSING: row('The relay asks for a token.', EXIT.refused, false, 'Give the relay’s token.'),
  TOKEN_WRONG: row(
    'The relay does not accept this token.',
    EXIT.refused,
    false,
    'Ask the operator of the relay for a valid token.',
  ),
  TOKEN_REVOKED: row(
    'The token was revoked.',
    EXIT.refused,
    false,
    'Ask the operator of the relay for a new token.',
  ),
  TOKEN_EXPIRED: row(
    'The token has expired.',
    EXIT.refused,
    false,
    'Ask the operator of the relay for a new token.',
  ),
  NOT_ALLOWED: row(
    'The token does not allow this.',
    EXIT.refused,
    false,
    'Choose what the token allows, or ask the operator of the relay for more rights.',
  ),
  LOGIN_FAILED: row(
    'The login did not succeed.',
    EXIT.refused,
    false,
    'Log in again, and confirm in the browser before the code expires.',
  ),
  ISSUER_FAILED: row(
    'The issuer of identities cannot be reached, or does not answer as expected.',
    EXIT.relayUnreachable,
    true,
    'Check the network; whoever runs the relay can check the address of its issuer.',
  ),
  KICKED: row(
    'The operator of the relay has ended this.',
    EXIT.refused,
    false,
    'Ask the operator of the relay for the reason.',
  ),
  BLOCKED: row(
    'The operator of the relay has blocked this.',
    EXIT.refused,
    false,
    'Ask the operator of the relay for the reason.',
  ),
  // Operating a relay
  RELAY_NOT_RUNNING: row(
    'No relay that runs here can be asked.',
    EXIT.unavailable,
    true,
    'Ask as the user of the relay, with its state folder.',
  ),
  RELAYS_SEVERAL: row('Several relays run with this state folder.', EXIT.usage, false, 'Say which one.'),
  NOT_CONNECTED: row(
    'The relay has nothing with this name at the moment.',
    EXIT.unavailable,
    true,
    'Look at the state of the relay for what is there.',
  ),
  // Binds
  NAME_TAKEN: row('The name belongs to somebody else.', EXIT.unavailable, false, 'Choose another name.'),
  PORT_TAKEN: row(
    'The relay’s port is in use or belongs to somebody else.',
    EXIT.unavailable,
    false,
    'Choose another port, or leave it out.',
  ),
  PORT_NOT_OFFERED: row(
    'The relay does not offer this TCP port.',
    EXIT.unavailable,
    false,
    'Choose a port of the relay’s range, or leave it out.',
  ),
  NO_FREE_PORT: row(
    'The relay has no free TCP port.',
    EXIT.unavailable,
    true,
    'Try again later, or ask for a larger range of ports at the relay.',
  ),
  H2_NOT_OFFERED: row(
    'The relay offers no h2: all its names share one certificate.',
    EXIT.unavailable,
    false,
    'Leave out h2, or let the relay use its own CA or allow h2 with the shared certificate.',
  ),
  TCP_NOT_OFFERED: row(
    'The relay offers no TCP ports.',
    EXIT.unavailable,
    false,
    'Use a TLS tunnel, or start the relay with a range of TCP ports.',
  ),
  TOO_MANY_TUNNELS: row(
    'There are as many tunnels as the relay allows.',
    EXIT.unavailable,
    false,
    'Close a tunnel first.',
  ),
  LIMIT_REACHED: row(
    'A limit of the token’s owner is reached.',
    EXIT.unavailable,
    false,
    'Close a tunnel first, or ask the operator of the relay for more.',
  ),
  TAKEN_OVER: row(
    'Another agent of the same owner took over the tunnel.',
    EXIT.unavailable,
    false,
    'Stop the other agent, unless you started it on purpose.',
  ),
  BIND_REFUSED: row(
    'The relay refused the tunnel.',
    EXIT.unavailable,
    false,
    'Read the reason that the relay gives.',
  ),
  // Private networks
  NETWORK_INVALID: row(
    'This cannot be the name of a network or of a member.',
    EXIT.usage,
    false,
    'Use 1 to 63 letters (a to z), digits and hyphens, with no hyphen at either end.',
  ),
  NETWORK_FULL: row(
    'The network has as many members as it may have.',
    EXIT.unavailable,
    true,
    'Join again when a member has left.',
  ),
  MEMBER_NAME_USED: row(
    'Another member of the network has this name.',
    EXIT.unavailable,
    false,
    'Choose another name, or end the other member.',
  ),
  MEMBER_REPLACED: row(
    'The member has joined again elsewhere, with the same key.',
    EXIT.refused,
    false,
    'Give each process a name of its own.',
  ),
  MEMBER_UNKNOWN: row(
    'The network has no such member.',
    EXIT.unavailable,
    true,
    'Check its name, and whether it runs.',
  ),
  MEMBER_UNPROVEN: row(
    'A member did not prove that it has the key of its address.',
    EXIT.refused,
    false,
    'Ask the operator of the relay: somebody may be in between.',
  ),
  MEMBER_UNREACHABLE: row(
    'The member cannot be reached.',
    EXIT.upstream,
    true,
    'Check that it runs and has a link to the relay.',
  ),
  MEMBER_UDP: row(
    'UDP does not pass between these members.',
    EXIT.upstream,
    false,
    'Let the program use TCP, or mend what the message names.',
  ),
  // Local
  UPSTREAM_REFUSED: row(
    'The upstream does not accept connections.',
    EXIT.upstream,
    true,
    'Start the local service, or check its port.',
  ),
  EGRESS_UNKNOWN: row(
    'The relay has no egress of this name.',
    EXIT.unavailable,
    false,
    'Choose one of the egresses that the relay offers to your token.',
  ),
  EGRESS_FORBIDDEN: row(
    'The relay does not connect to this destination.',
    EXIT.refused,
    false,
    'Ask the operator of the relay to allow the destination.',
  ),
  EGRESS_UNREACHABLE: row(
    'The destination cannot be reached through the egress.',
    EXIT.upstream,
    true,
    'Check its host and port, and whether it admits the addresses of the egress.',
  ),
  EGRESS_UDP: row(
    'UDP does not leave by the egress here.',
    EXIT.upstream,
    false,
    'Let the program use TCP; those with HTTP/3 do it by themselves.',
  ),
  EGRESS_LOCAL: row(
    'A service of this machine’s loopback is not there for the command.',
    EXIT.upstream,
    false,
    'Name the port of the service as a local one.',
  ),
  UPSTREAM_CERTIFICATE: row(
    'The upstream’s certificate is not trusted.',
    EXIT.upstream,
    false,
    'Give the CA of the upstream, or accept any certificate.',
  ),
  UPSTREAM_TLS: row(
    'The TLS handshake with the upstream failed.',
    EXIT.upstream,
    false,
    'Check that the service speaks TLS on this port, and whether it requires a client certificate.',
  ),
  CERTIFICATE_REFUSED: row(
    'A visitor does not trust the relay’s certificate.',
    EXIT.relayUnreachable,
    false,
    'Let the visitor trust the relay’s CA.',
  ),
  HOST_REFUSED: row(
    'The upstream refuses requests for the public name.',
    EXIT.upstream,
    false,
    'Allow the name in the upstream’s own settings.',
  ),
  UPSTREAM_PROTOCOL: row(
    'The upstream speaks another protocol than its visitors.',
    EXIT.upstream,
    false,
    'Offer visitors the protocol that the upstream speaks.',
  ),
  VISITOR_NEEDS_H2: row(
    'A visitor speaks only HTTP/2, which the tunnel does not offer.',
    EXIT.upstream,
    false,
    'Offer HTTP/2, if the service speaks it.',
  ),
  VISITOR_NEEDS_HTTP1: row(
    'A visitor speaks only HTTP/1.1, and the tunnel offers only HTTP/2.',
    EXIT.upstream,
    false,
    'Offer HTTP/1.1 as well, if the service speaks both.',
  ),
  ADDRESS_REFUSED: row(
    'The tunnel does not take visitors from this address.',
    EXIT.unavailable,
    false,
    'Ask the owner of the tunnel to allow the address.',
  ),
  PROBE_DNS: row(
    'The public name does not resolve.',
    EXIT.relayUnreachable,
    true,
    'The relay’s operator adds a DNS record for all names below the relay’s name.',
  ),
  PROBE_TCP: row(
    'Nothing accepts connections at the public address.',
    EXIT.relayUnreachable,
    true,
    'The relay’s operator checks the DNS record of the name, the firewall, and the forwarded port.',
  ),
  PROBE_TLS: row(
    'TLS fails at the public address.',
    EXIT.relayUnreachable,
    true,
    'The relay’s operator checks the certificate, and that the name leads to the relay.',
  ),
  PROBE_SESSION: row(
    'Connections to the public address do not reach this agent.',
    EXIT.relayUnreachable,
    true,
    'Check that the public name leads to the same relay that the agent uses.',
  ),
  TUNNEL_UNKNOWN: row(
    'There is no tunnel of this name.',
    EXIT.unavailable,
    true,
    'Check the name, and that the command that printed it still runs.',
  ),
  BACKGROUND_UNKNOWN: row(
    'There is no such tunnel in the background.',
    EXIT.usage,
    false,
    'List the tunnels that run.',
  ),
  BACKGROUND_STUCK: row(
    'The tunnel in the background cannot be stopped.',
    EXIT.local,
    false,
    'End its process as the user who started it.',
  ),
  BACKGROUND_SILENT: row(
    'The tunnel in the background does not answer this request.',
    EXIT.local,
    true,
    'A running relay cannot be changed, only a tunnel can. A process that does not answer can still be ended.',
  ),
  BACKGROUND_NAME_UNKNOWN: row(
    'The command in the background has no tunnel of this name.',
    EXIT.usage,
    false,
    'Look up the names of its tunnels.',
  ),
  BACKGROUND_NAME_USED: row(
    'The command in the background has a tunnel of this name.',
    EXIT.usage,
    false,
    'Give it another name.',
  ),
  BACKGROUND_KEPT: row(
    'This tunnel can only end together with its command.',
    EXIT.usage,
    false,
    'End the command.',
  ),
  CONFIG_SYNTAX: row(
    'The configuration file is not valid YAML.',
    EXIT.usage,
    false,
    'Write each setting as `key: value`.',
  ),
  CONFIG_KEY: row('The configuration file has a wrong key.', EXIT.usage, false, 'Correct or remove it.'),
  CONFIG_VALUE: row(
    'The configuration file has a value of a wrong form.',
    EXIT.usage,
    false,
    'Give one value, or a list where the setting has several.',
  ),
  CONFIG_SECRET: row(
    'The configuration file contains a secret.',
    EXIT.usage,
    false,
    'Write it to a file of its own, and give the path of that file.',
  ),
  CONFIG_INVALID: row('The configuration file cannot be used.', EXIT.usage, false, 'Correct the mistakes.'),
  FILE_UNREADABLE: row('A file cannot be read.', EXIT.local, false, 'Check its path and permissions.'),
  STDOUT_FAILED: row(
    'Writing to stdout failed.',
    EXIT.local,
    false,
    'Free space on its disk, or redirect it elsewhere.',
  ),
  TOKEN_FILE_EMPTY: row(
    'The token file contains no token.',
    EXIT.local,
    false,
    'Put one token on its first line (16 or more characters).',
  ),
  TOKENS_UNREADABLE: row(
    'The file of tokens cannot be used.',
    EXIT.local,
    false,
    'Restore it from a copy. If you move it away, all its tokens are gone.',
  ),
  TOKEN_UNKNOWN: row('There is no such token.', EXIT.usage, false, 'List the tokens.'),
  PASSWORD_FILE_EMPTY: row(
    'The password file contains no password.',
    EXIT.local,
    false,
    'Put the password on its first line.',
  ),
  CERTIFICATE_INVALID: row(
    'The certificate or its key cannot be used.',
    EXIT.local,
    false,
    'Give PEM files: the chain with the leaf first, and a key without a passphrase.',
  ),
  KEY_MISMATCH: row(
    'The private key does not belong to the certificate.',
    EXIT.local,
    false,
    'Give the private key of this certificate.',
  ),
  STATE_DIR: row(
    'The state folder cannot be used.',
    EXIT.local,
    false,
    'Set TUNL_STATE_DIR to a folder that you can write to.',
  ),
  EGRESS_ADDRESS: row(
    'An address of an egress is not of this machine.',
    EXIT.local,
    false,
    'Give addresses that this machine has, or add the address to an interface of it first.',
  ),
  LISTEN_IN_USE: row(
    'The address to listen on is in use.',
    EXIT.local,
    false,
    'Stop what listens there, or choose another address.',
  ),
  LISTEN_FORBIDDEN: row(
    'This user may not listen on that port.',
    EXIT.local,
    false,
    'Use a port from 1024 up, or give node the right: `setcap cap_net_bind_service=+ep NODE`.',
  ),
  LISTEN_FAILED: row(
    'The address to listen on cannot be used.',
    EXIT.local,
    false,
    'Give an address of this machine.',
  ),
  LAN_ADDRESS_MISSING: row(
    'This machine has no such address in a local network.',
    EXIT.local,
    false,
    'Connect it to the network, or give one of its addresses.',
  ),
  LAN_WITH_RELAY: row(
    'Only a relay inside this process can listen in the local network.',
    EXIT.usage,
    false,
    'Leave out the relay, or the address in the local network.',
  ),
  LAN_WITH_TCP: row(
    'An address in the local network is for TLS only.',
    EXIT.usage,
    false,
    'Leave out one of them.',
  ),
  TOKEN_NEEDED: row(
    'A relay that others can reach needs a token.',
    EXIT.usage,
    false,
    'Give a token or make one, or listen on 127.0.0.1.',
  ),
  // Programs started with the tunnel
  PROGRAM_MISSING: row('The program is not installed.', EXIT.local, false, 'Install it, or give its path.'),
  PROGRAM_TOO_OLD: row('The program is too old.', EXIT.local, false, 'Update the program.'),
  PROGRAM_CONFIG: row(
    'The program does not accept its configuration.',
    EXIT.local,
    false,
    'Read the program’s message, and check that its version is current.',
  ),
  PROGRAM_DIED: row(
    'The program ended before it answered.',
    EXIT.upstream,
    false,
    'Read its last lines above.',
  ),
  PROGRAM_BACKGROUND: row(
    'The program went into the background.',
    EXIT.upstream,
    false,
    'Start it in the foreground: many programs have a flag for that.',
  ),
  PROGRAM_NOT_READY: row(
    'The program did not answer in time.',
    EXIT.upstream,
    true,
    'Read its last lines above, or allow more time.',
  ),
  PROGRAM_OTHER_PORT: row(
    'The program does not listen on the tunnel’s port.',
    EXIT.upstream,
    false,
    'Expose the port that the program uses, or put {port} into its arguments.',
  ),
  PROGRAM_PORT_TAKEN: row(
    'Another program already listens on this port.',
    EXIT.local,
    false,
    'Stop what listens there, or choose another port.',
  ),
  FOLDER_MISSING: row('The folder does not exist.', EXIT.local, false, 'Give the path of a folder.'),
  FOLDER_INVALID: row('The path is not a folder.', EXIT.local, false, 'Give the folder of the file.'),
  KEY_INVALID: row(
    'The keys cannot be used.',
    EXIT.local,
    false,
    'Give a public key (such as ~/.ssh/id_ed25519.pub) or an authorized_keys file.',
  ),
  KEY_PRIVATE: row(
    'This is a private key.',
    EXIT.local,
    false,
    'Give the public half: the file whose name ends in .pub.',
  ),
  KEY_SOURCE: row(
    'The keys could not be fetched.',
    EXIT.local,
    true,
    'Check the name and the network, or give a key file.',
  ),
  ACCOUNT_LOCKED: row(
    'The account is locked, so sshd refuses all logins.',
    EXIT.local,
    false,
    'Unlock it without setting a password: `usermod -p "*" USER`.',
  ),
  // Sandboxes
  HUB_SESSION_UNKNOWN: row('There is no such session.', EXIT.usage, false, 'List the sessions.'),
  HUB_TEMPLATE_UNKNOWN: row('There is no such template.', EXIT.usage, false, 'List the templates.'),
  HUB_USER_UNKNOWN: row('There is no such user.', EXIT.usage, false, 'List the users.'),
  HUB_NAME_USED: row(
    'The name or the key of the request belongs to another session.',
    EXIT.refused,
    false,
    'Give another name, or stop that session first.',
  ),
  HUB_QUOTA: row('All sessions of this user run already.', EXIT.refused, true, 'Stop one of them first.'),
  HUB_FULL: row(
    'The hub has no room for another session now.',
    EXIT.unavailable,
    true,
    'Try again when others have ended.',
  ),
  HUB_NOT_READY: row(
    'The session did not answer in time.',
    EXIT.unavailable,
    true,
    'Read its last lines; it may still become ready.',
  ),
  HUB_FAILED: row('The session could not be started.', EXIT.unavailable, true, 'Read its last lines.'),
  HUB_RUNS: row('Another hub runs with this state folder.', EXIT.local, false, 'End it first.'),
  HUB_AWAY: row('No hub runs on this machine for this user.', EXIT.unavailable, false, 'Start one.'),
  HUB_HOME: row(
    'The user’s files for the session cannot be used.',
    EXIT.local,
    false,
    'The operator must mend the folder of the homes.',
  ),
  SANDBOX_BACKEND: row(
    'No isolation program can be used on this machine.',
    EXIT.local,
    false,
    'Install one, or mend what keeps it from working.',
  ),
  SANDBOX_LIMIT: row(
    'A limit of the sandbox cannot be held on this machine.',
    EXIT.local,
    false,
    'Leave out the limit, or accept that it is not held.',
  ),
  SANDBOX_EGRESS: row(
    'The rules for the sandbox’s network cannot be held on this machine.',
    EXIT.local,
    false,
    'Give it no network, or mend what is missing.',
  ),
  CLUSTER_INVALID: row(
    'This is not a cluster that can be.',
    EXIT.usage,
    false,
    'Correct its size, its ranks or its ports.',
  ),
  CLUSTER_UNAVAILABLE: row(
    'This machine cannot join the members of a cluster.',
    EXIT.local,
    false,
    'Mend what is missing.',
  ),
  CLUSTER_INCOMPLETE: row(
    'Not all members of the cluster came in time.',
    EXIT.refused,
    true,
    'Start the missing ones, and check their number.',
  ),
  CLUSTER_LOST: row('The cluster was lost.', EXIT.unavailable, true, 'Read the reason, and start it again.'),
  SEAL_UNAVAILABLE: row(
    'The network of the command cannot be sealed on this machine.',
    EXIT.local,
    false,
    'Mend what is missing, or use a way that seals nothing.',
  ),
  SEAL_LOST: row(
    'The sealed network was lost, so the command was killed.',
    EXIT.local,
    true,
    'Start it again; if nobody has killed a part of tunl, report the problem.',
  ),
  SANDBOX_FAILED: row('The sandbox could not be started.', EXIT.local, false, 'Read the reason.'),
  SANDBOX_COMMAND: row(
    'The command cannot be run inside the sandbox.',
    EXIT.local,
    false,
    'Check its path inside the sandbox, and that it is executable there.',
  ),
  SANDBOX_ENDED: row('The sandbox has ended.', EXIT.unavailable, false, 'Start another one.'),
  SANDBOX_UNKNOWN: row('There is no such sandbox.', EXIT.usage, false, 'List the sandboxes that run.'),
  SANDBOX_NAME_USED: row(
    'Another sandbox that runs has this name.',
    EXIT.usage,
    false,
    'Choose another name, or end that sandbox.',
  ),
  SANDBOX_SILENT: row(
    'The process that owns the sandbox does not answer.',
    EXIT.local,
    true,
    'Try again later, or end that process.',
  ),
  SANDBOX_FILE: row(
    'A file inside the sandbox cannot be used.',
    EXIT.local,
    false,
    'Check its path and permissions inside the sandbox.',
  ),
  SANDBOX_TUNNELS: row(
    'A port of the sandbox did not get its address in time.',
    EXIT.relayUnreachable,
    true,
    'Check that the relay can be reached.',
  ),
  SANDBOX_IMAGE: row(
    'The image does not exist on this machine.',
    EXIT.local,
    false,
    'Pull the image, or check its name.',
  ),
  EGRESS_INVALID: row(
    'A destination of the sandbox’s network cannot be read.',
    EXIT.usage,
    false,
    'Write it as HOST:PORT, such as db.example.com:5432 or *.example.com:443.',
  ),
  // Session and stream ends
  PROTOCOL: violation('The peer broke the protocol.'),
  ACK_RANGE: violation('The peer acknowledged bytes that were never sent, or fewer than before.'),
  ACK_OVERDUE: violation('The peer does not acknowledge what it receives.'),
  STREAM_REUSED: violation(
    'The peer opened a stream with an id that is not its own, or that was used before.',
  ),
  STREAM_UNKNOWN: violation('The peer sent something on a stream that was never opened.'),
  STREAM_STATE: violation(
    'The peer sent a frame that the state of its stream does not allow, such as data after the end.',
  ),
  WINDOW_EXCEEDED: violation('The peer sent more than it had credit for.'),
  CREDIT_RANGE: violation('The peer granted a credit of 0, or too much.'),
  PEER_NOT_READING: violation('The peer requests answers and does not read them.'),
  SESSION_UNKNOWN: row(
    'The relay does not know this session any more.',
    EXIT.relayUnreachable,
    true,
    'Nothing: tunl starts a new session.',
  ),
  SESSION_PROOF: row(
    'The proof for resuming the session is wrong.',
    EXIT.refused,
    false,
    'Nothing: tunl starts a new session.',
  ),
  SESSION_STALE: row('The session was resumed by a newer link.', EXIT.relayUnreachable, true, 'Nothing.'),
  SESSION_RANGE: row(
    'The peer asked for bytes that are gone or were never sent.',
    EXIT.incompatible,
    false,
    'Nothing: tunl starts a new session.',
  ),
  RESUME_EXPIRED: row(
    'The link did not come back within the resume window.',
    EXIT.relayUnreachable,
    true,
    'Nothing: open connections were reset.',
  ),
  CLOSED: row('The tunnel or the relay is closed already.', EXIT.unexpected, false, 'Nothing.'),
  ABORTED: row('The call was aborted.', EXIT.interrupted, false, 'Nothing.'),
  UNEXPECTED: row(
    'Something unexpected happened.',
    EXIT.unexpected,
    false,
    'Report the problem with the diagnostics of level debug.',
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export interface TunlErrorOptions {
  /** Details of the case. Replaces the table's sentence in `message`. Never contains a secret. */
  reason?: string;
  /** Replaces the table's next step if a better one is known. */
  next?: string;
  cause?: unknown;
  /** The peer asks for no further attempt within this time, ms. */
  retryAfterMs?: number;
  /** The relay itself sent this error, over a connection with a valid certificate. Default false. */
  fromRelay?: boolean;
}

/** Every error that tunl throws or emits on purpose. `code` is stable, `message` is for people. */
export class TunlError extends Error {
  override readonly name = 'TunlError';
  readonly code: ErrorCode;
  readonly next: string;
  // Private, so that a printed error has only what helps its reader.
  readonly #retryAfterMs: number | undefined;
  readonly #fromRelay: boolean;

  constructor(code: ErrorCode, options: TunlErrorOptions = {}) {
    super(options.reason ?? ERRORS[code].sentence, options.cause === undefined ? {} : {cause: options.cause});
    this.code = code;
    this.next = options.next ?? ERRORS[code].next;
    this.#retryAfterMs = options.retryAfterMs;
    this.#fromRelay = options.fromRelay ?? false;
  }

  get retryAfterMs(): number | undefined {
    return this.#retryAfterMs;
  }

  /** The relay itself sent this error: nothing between agent and relay can produce it. */
  get fromRelay(): boolean {
    return this.#fromRelay;
  }

  get exitCode(): number {
    return ERRORS[this.code].exitCode;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** An error that only tells a peer why. It has no stack, because that costs as much as the rest of an answer. */
export function errorForPeer(code: ErrorCode, options?: TunlErrorOptions): TunlError {
  const {stackTraceLimit} = Error;
  Error.stackTraceLimit = 0;
  try {
    return new TunlError(code, options);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

/** Turns any thrown value into a TunlError: one stays unchanged, others become `fallback` with the original as cause. */
export function toTunlError(error: unknown, fallback: ErrorCode = 'UNEXPECTED'): TunlError {
  if (error instanceof TunlError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new TunlError(fallback, {reason, cause: error});
}

/** The system error code (`ECONNREFUSED`, …) of anything thrown, or ''. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
