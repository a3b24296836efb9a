// The configuration of tunl's own sshd, and the lines that a visitor needs for it.
import {shellWord} from '../../core/shell-word.js';
import type {PublicSide} from '../program.js';

export interface SshdConfig {
  readonly port: number;
  readonly user: string;
  readonly hostKeyPath: string;
  readonly authorizedKeysPath: string;
  /** False when a folder above the keys is writable by others but sticky, which sshd's own check does not accept. */
  readonly strictModes: boolean;
  /** True only for a locked account, which can log in only through PAM. */
  readonly usePam: boolean;
  /** OpenSSH 9.8 and newer know PerSourcePenalties. */
  readonly penalties: boolean;
  /** The environment of sessions. */
  readonly env: readonly (readonly [name: string, value: string])[];
}

export function sshdConfig(config: SshdConfig): string {
  const lines = [
    `ListenAddress 127.0.0.1:${config.port}`,
    `HostKey ${quote(config.hostKeyPath)}`,
    `AuthorizedKeysFile ${quote(config.authorizedKeysPath)}`,
    `StrictModes ${yesNo(config.strictModes)}`,
    `AllowUsers ${quote(config.user)}`,
    'PidFile none',
    `UsePAM ${yesNo(config.usePam)}`,
    // Keys are the only way to log in.
    'AuthenticationMethods publickey',
    'PubkeyAuthentication yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'HostbasedAuthentication no',
    'PermitEmptyPasswords no',
    'PermitRootLogin prohibit-password',
    'PermitUserEnvironment no',
    'MaxAuthTries 20',
    // Every visitor comes from 127.0.0.1: penalties by address would treat all of them as one, and bots would lock
    // the owner out.
    ...(config.penalties ? ['PerSourcePenalties no'] : []),
    'MaxStartups 50:30:200',
    'LoginGraceTime 30',
    'ClientAliveInterval 30',
    'ClientAliveCountMax 3',
    'UseDNS no',
    'X11Forwarding no',
    'AllowTcpForwarding yes',
    'AllowAgentForwarding yes',
    'AllowStreamLocalForwarding yes',
    'GatewayPorts no',
    'PermitTunnel no',
    'AcceptEnv LANG LC_* COLORTERM',
    'Subsystem sftp internal-sftp',
    // sshd uses only the first SetEnv line.
    ...(config.env.length > 0
      ? [`SetEnv ${config.env.map(([name, value]) => quote(`${name}=${value}`)).join(' ')}`]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

const yesNo = (value: boolean) => (value ? 'yes' : 'no');

/** A word of sshd_config; the format cannot express line breaks. */
function quote(word: string): string {
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** Variables that sessions need although sshd clears their environment. The list has fixed names, so that no secret gets in. */
const KEPT = [
  /^PATH$/,
  /^TZ$/,
  /^VIRTUAL_ENV$/,
  /^CONDA_(PREFIX|DEFAULT_ENV|EXE|PYTHON_EXE|SHLVL)$/,
  /^(CUDA|NVIDIA|ROCM|HIP)_[A-Z0-9_]+$/,
  /^LD_LIBRARY_PATH$/,
  /^LIBRARY_PATH$/,
  /^PYTHONPATH$/,
  /^PYENV_(ROOT|SHELL|VERSION)$/,
  /^(JAVA_HOME|GOROOT|GOPATH|CARGO_HOME|RUSTUP_HOME|NVM_DIR)$/,
];

export function sessionEnv(env: Readonly<NodeJS.ProcessEnv>): [string, string][] {
  return Object.entries(env).flatMap(([name, value]): [string, string][] => {
    const kept = value !== undefined && !/[\r\n]/.test(value) && KEPT.some((pattern) => pattern.test(name));
    return kept ? [[name, value]] : [];
  });
}

export interface SshLineOptions {
  readonly user: string;
  readonly public: PublicSide;
  /** `tls`: through the TLS name, with a command that speaks TLS on standard input and output. */
  readonly via: 'tcp' | 'tls';
  /** The CA of the relay's certificate, if the system does not know it. */
  readonly caFile?: string;
}

/** The ssh command to copy; it works without changes. */
export function sshLine({user, public: side, via, caFile}: SshLineOptions): string {
  const who = `${user}@${hostName(side, via)}`;
  if (via === 'tcp') return side.port === 22 ? `ssh ${who}` : `ssh -p ${side.port} ${who}`;
  const ca = caFile === undefined ? '' : ` -CAfile ${shellWord(caFile)}`;
  const tls = `openssl s_client -quiet -verify_quiet -verify_return_error${ca} -verify_hostname %h -servername %h -connect ${side.name === undefined ? '%h' : side.host}:${side.port}`;
  return `ssh -o ProxyCommand=${shellWord(tls)} ${who}`;
}

/** The line for known_hosts with which the first login asks no question. */
export function knownHostsLine(
  side: PublicSide,
  via: 'tcp' | 'tls',
  key: {type: string; data: string},
): string {
  // With a ProxyCommand ssh looks up port 22 of the name.
  const name = via === 'tls' || side.port === 22 ? hostName(side, via) : `[${side.host}]:${side.port}`;
  return `${name} ${key.type} ${key.data}`;
}

/** The tunnel's own name, also when the connection goes to localhost: ssh knows another host key under that name. */
function hostName(side: PublicSide, via: 'tcp' | 'tls'): string {
  return via === 'tls' ? (side.name ?? side.host) : side.host;
}
