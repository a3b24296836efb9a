// How to make programs trust the relay's private CA.

import {existsSync} from 'node:fs';
import {shellWord} from '../../core/shell-word.js';
import {stateDir as defaultStateDir} from '../../core/state-dir.js';
import {Authority} from './authority.js';

/** The CA of a state folder, made if there is none yet. @returns the path of its certificate. @throws TunlError STATE_DIR */
export async function ensureCa(stateDir: string = defaultStateDir()): Promise<string> {
  return (await Authority.open(stateDir)).caFile;
}

/** A store of the system that most programs use. */
type Store = 'debian' | 'fedora' | 'arch' | 'macos' | 'windows';

interface Way {
  for: string;
  command: (file: string) => string;
}

const STORES: Readonly<Record<Store, Way>> = {
  debian: {
    for: 'Debian, Ubuntu, Alpine',
    command: (file) =>
      `sudo cp ${file} /usr/local/share/ca-certificates/tunl.crt && sudo update-ca-certificates`,
  },
  fedora: {
    for: 'Fedora, RHEL',
    command: (file) => `sudo cp ${file} /etc/pki/ca-trust/source/anchors/tunl.pem && sudo update-ca-trust`,
  },
  arch: {for: 'Arch', command: (file) => `sudo trust anchor --store ${file}`},
  macos: {
    for: 'macOS',
    command: (file) =>
      `security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db ${file}`,
  },
  windows: {for: 'Windows', command: (file) => `certutil -user -addstore Root ${file}`},
};

/** Programs that do not look into the system's store, or that need no administrator this way. */
const PROGRAMS: readonly Way[] = [
  {
    for: 'tunl',
    command: (file) => `tunl expose 8000 --ca-file ${file}  # other users; yours trusts it already`,
  },
  {for: 'curl', command: (file) => `curl --cacert ${file} https://…`},
  {for: 'wget', command: (file) => `wget --ca-certificate=${file} https://…`},
  {for: 'Node', command: (file) => `NODE_EXTRA_CA_CERTS=${file} node …`},
  {for: 'Python (requests)', command: (file) => `REQUESTS_CA_BUNDLE=${file} python …`},
  {for: 'Python (urllib), Go', command: (file) => `SSL_CERT_FILE=${file} …  # instead of all others`},
  {
    for: 'Java',
    command: (file) =>
      `keytool -importcert -noprompt -alias tunl -storepass changeit -keystore tunl.p12 -file ${file}  # then java -Djavax.net.ssl.trustStore=tunl.p12 …`,
  },
  {for: 'OpenSSL', command: (file) => `openssl s_client -CAfile ${file} …`},
  {
    for: 'Chromium on Linux',
    command: (file) =>
      `mkdir -p ~/.pki/nssdb && certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n tunl -i ${file}  # needs the package libnss3-tools or nss-tools; then restart Chromium`,
  },
  {for: 'Firefox', command: () => 'Settings, Certificates, View Certificates, Authorities, Import'},
];

export interface TrustOptions {
  /** Every way, for all systems. */
  all: boolean;
  /** This machine's store; undefined: none that is known. */
  store: Store | undefined;
}

/** This machine's store. */
export function findStore(
  platform: NodeJS.Platform = process.platform,
  exists: (path: string) => boolean = existsSync,
): Store | undefined {
  if (platform === 'darwin') return 'macos';
  if (platform === 'win32') return 'windows';
  if (exists('/etc/pki/ca-trust/source/anchors')) return 'fedora';
  if (exists('/etc/ca-certificates/trust-source')) return 'arch';
  return exists('/usr/sbin/update-ca-certificates') ? 'debian' : undefined;
}

const WARNING =
  'Who trusts this certificate trusts every name that this relay vouches for: give it to nobody but your visitors.';

/** For people: lines that are safe to paste into a shell. */
export function trustInstructions(caFile: string, {all, store}: TrustOptions): string {
  const file = quoted(caFile);
  const here = store === undefined ? undefined : STORES[store];
  if (!all && here !== undefined) {
    return `${WARNING}

On this system, for curl and most other programs:

  ${here.command(file)}

${REST[store as Store]} have stores of their own: \`tunl relay ca --all\` shows the way for each.
`;
  }
  const lines = [...PROGRAMS, ...Object.values(STORES)].map(
    (way) => `  ${way.for.padEnd(22)} ${way.command(file)}`,
  );
  return `${WARNING}\n\n${lines.join('\n')}\n`;
}

const ELSEWHERE = 'Chromium, Firefox, Node, Java and Python’s requests';
/** The programs that do not use the store. */
const REST: Readonly<Record<Store, string>> = {
  debian: ELSEWHERE,
  fedora: ELSEWHERE,
  arch: ELSEWHERE,
  macos: 'Firefox, Node, Java and Python',
  windows: 'Firefox, Node, Java and Python',
};

/** State folders may have spaces in their names, for example on macOS. */
function quoted(path: string): string {
  return path.includes('\\') ? `"${path}"` : shellWord(path);
}
