// The parts of the host that programs inside may read: tools and libraries, and settings without secrets.

import {existsSync, lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';

/** One argument list of bwrap for each thing that is shown. */
export type Shown =
  | {readonly kind: 'folder' | 'file'; readonly source: string; readonly target: string}
  | {readonly kind: 'link'; readonly text: string; readonly target: string};

/** Links to /usr on most systems, folders of their own on some. */
const TOP = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** Outside of /usr on systems whose programs are there. */
const STORES = ['/nix/store', '/gnu/store'];

/** Nothing here is private on any distribution; private keys are beside these, never in them. */
const SETTINGS = [
  'alternatives',
  'bash.bashrc',
  'ca-certificates',
  'crypto-policies',
  'fonts',
  'inputrc',
  'host.conf',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'magic',
  'mime.types',
  'nsswitch.conf',
  'pki/ca-trust',
  'pki/tls/cert.pem',
  'pki/tls/certs',
  'pki/tls/openssl.cnf',
  'profile',
  'protocols',
  'os-release',
  'rpc',
  'services',
  'ssl/cert.pem',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
  'vim',
];

/** Settings of languages, whose names contain versions. */
const LANGUAGES = /^(java|perl|python)[\w.-]*$/;

export function hostTools(): Shown[] {
  const shown: Shown[] = [{kind: 'folder', source: '/usr', target: '/usr'}];
  for (const path of TOP) {
    const found = lstatSync(path, {throwIfNoEntry: false});
    if (found === undefined) continue;
    if (found.isSymbolicLink()) shown.push({kind: 'link', text: readlinkSync(path), target: path});
    else if (found.isDirectory()) shown.push({kind: 'folder', source: path, target: path});
  }
  for (const path of STORES) if (existsSync(path)) shown.push({kind: 'folder', source: path, target: path});
  const languages = readdirSync('/etc').filter((name) => LANGUAGES.test(name));
  for (const name of [...SETTINGS, ...languages]) {
    const path = `/etc/${name}`;
    // A link is followed, because what it leads to may not exist inside.
    if (existsSync(path)) shown.push({kind: 'file', source: path, target: path});
  }
  return shown;
}

/** True for a path inside that comes from `hostTools`. */
export const isHostTool = (path: string): boolean =>
  [...TOP, ...STORES, '/usr', '/etc'].some((top) => path === top || path.startsWith(`${top}/`));

/**
 * Libraries of this Node that are outside of /usr, by what the kernel has mapped. Add-ons are mapped as well, but nothing
 * inside needs them.
 */
export function nodeLibraries(maps = readFileSync('/proc/self/maps', 'utf8')): string[] {
  const found = new Set<string>();
  for (const line of maps.split('\n')) {
    const path = line.slice(line.indexOf('/'));
    if (line.includes('/') && /\.so(\.[\d.]+)?$/.test(path) && !isHostTool(path)) found.add(path);
  }
  return [...found];
}
