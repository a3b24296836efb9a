// Reads the text that names an upstream. Does not look up files or hosts.

import {isAbsolute, resolve, sep} from 'node:path';
import {TunlError} from '../../core/errors.js';
import {checkPort, formatHostPort, type HostPort, parseTarget} from '../../protocol/targets.js';

export type UpstreamTarget =
  | ({kind: 'tcp'} & HostPort)
  | ({kind: 'tls'} & HostPort)
  | {kind: 'unix'; path: string}
  | {kind: 'folder'; path: string};

/**
 * `8000`, `localhost:8000`, `unix:/run/app.sock`, `https://localhost:8443`, `http://localhost:8000/`, `./dist`.
 *
 * @param defaultHost for a port without a host.
 * @throws TunlError TARGET_INVALID, PORT_INVALID, PORT_RANGE, SOCKET_INVALID
 */
export function readTarget(target: number | string, defaultHost?: string): UpstreamTarget {
  if (typeof target === 'number') {
    return {kind: 'tcp', host: defaultHost ?? 'localhost', port: checkPort(target)};
  }
  const text = target.trim();
  if (/^unix:/i.test(text)) return {kind: 'unix', path: socketPath(text.slice('unix:'.length))};
  if (/^https?:/i.test(text)) return fromUrl(text);
  if (isPath(text)) return {kind: 'folder', path: resolve(text)};
  try {
    return {kind: 'tcp', ...parseTarget(text, defaultHost)};
  } catch (error) {
    // A bare word may mean a folder, which must be written as a path.
    if (!(error instanceof TunlError) || !/^[a-z_][\w-]*$/i.test(text)) throw error;
    const next = `Give a port from 1 to 65535, or HOST:PORT; a folder is written ./${text}.`;
    throw new TunlError(error.code, {reason: error.message, next});
  }
}

/** A target of a command line in the library's form: a bare port is a number. @throws TunlError like `readTarget` */
export function portOrTarget(text: string, defaultHost?: string): number | string {
  const target = readTarget(text, defaultHost);
  return target.kind === 'tcp' && /^\+?\d+$/.test(text.trim()) ? target.port : text;
}

/** The name of the target in messages, and its key in the memory of names. */
export function targetLabel(target: UpstreamTarget): string {
  switch (target.kind) {
    case 'tcp':
      return formatHostPort(target.host, target.port);
    case 'tls':
      return `https://${formatHostPort(target.host, target.port)}`;
    case 'unix':
      return `unix:${target.path}`;
    case 'folder':
      return target.path.endsWith(sep) ? target.path : `${target.path}${sep}`;
  }
}

/** A folder is written with a separator or as dots, because a bare word may mean something else. */
function isPath(text: string): boolean {
  return text === '.' || text === '..' || text.includes('/') || text.includes('\\') || isAbsolute(text);
}

/** The kernel's limit for the path of a Unix socket, in bytes: sun_path without its end. */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103;

function socketPath(text: string): string {
  // `unix:///run/app.sock` means the same path.
  const path = resolve(text.replace(/^\/\/(?=\/)/, ''));
  if (text === '' || text.includes('\0')) {
    throw new TunlError('TARGET_INVALID', {
      reason: 'unix: has no path.',
      next: 'Write it like unix:/run/app.sock.',
    });
  }
  if (process.platform !== 'win32' && Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new TunlError('SOCKET_INVALID', {
      reason: `The path of the socket has more than ${MAX_SOCKET_PATH} bytes: ${path}`,
      next: 'Give a shorter path, such as that of a symbolic link to it.',
    });
  }
  return path;
}

function fromUrl(text: string): UpstreamTarget {
  const invalid = (reason: string, next?: string) =>
    new TunlError('TARGET_INVALID', next === undefined ? {reason} : {reason, next});
  const [, scheme = '', authority = '', rest = ''] = /^(https?):\/\/([^/?#\\]*)(.*)$/i.exec(text) ?? [];
  const secure = scheme.toLowerCase() === 'https';
  if (authority === '') throw invalid('The URL names no host.', 'Write it like https://localhost:8443.');
  // The text is not repeated, because it may contain a password.
  if (authority.includes('@')) {
    throw invalid('A URL with a user is no upstream.', 'Leave out what stands before the @.');
  }
  const place = parseTarget(/:\d*$/.test(authority) ? authority : `${authority}:${secure ? 443 : 80}`);
  if (rest !== '' && rest !== '/') {
    const bare = `${scheme.toLowerCase()}://${formatHostPort(place.host, place.port)}`;
    throw invalid(
      'The URL of an upstream cannot have a path, a query or a fragment.',
      `Write ${bare}, and add the path to the public address.`,
    );
  }
  return {kind: secure ? 'tls' : 'tcp', ...place};
}
