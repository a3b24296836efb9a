// The files of the page: its own and xterm.js's. They are read on demand and kept, and have headers that restrict the page.
import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {gzip} from 'node:zlib';

const own = (name: string) => fileURLToPath(new URL(`../../../../assets/terminal/${name}`, import.meta.url));
const ofPackage = (path: string) => createRequire(import.meta.url).resolve(path);

const HTML = 'text/html; charset=utf-8';
const CSS = 'text/css; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';

const FILES: Readonly<Record<string, {type: string; path: () => string}>> = {
  '/': {type: HTML, path: () => own('index.html')},
  '/terminal.css': {type: CSS, path: () => own('terminal.css')},
  '/terminal.js': {type: SCRIPT, path: () => own('terminal.js')},
  '/keys.js': {type: SCRIPT, path: () => own('keys.js')},
  '/link.js': {type: SCRIPT, path: () => own('link.js')},
  '/xterm.css': {type: CSS, path: () => ofPackage('@xterm/xterm/css/xterm.css')},
  '/xterm.mjs': {type: SCRIPT, path: () => ofPackage('@xterm/xterm/lib/xterm.mjs')},
  '/addon-fit.mjs': {type: SCRIPT, path: () => ofPackage('@xterm/addon-fit/lib/addon-fit.mjs')},
  '/addon-unicode11.mjs': {
    type: SCRIPT,
    path: () => ofPackage('@xterm/addon-unicode11/lib/addon-unicode11.mjs'),
  },
};

/** xterm.js writes its style sheets into the page, so inline styles are allowed; inline scripts are not. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // The browser asks each time; an unchanged file costs a 304.
  'cache-control': 'private, no-cache',
  vary: 'accept-encoding',
};

interface Kept {
  readonly plain: Buffer;
  readonly zipped: Buffer;
  readonly etag: string;
}

const kept = new Map<string, Promise<Kept>>();

export async function answerFile(request: IncomingMessage, response: ServerResponse): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, {allow: 'GET, HEAD'}).end();
    return;
  }
  const path = (request.url ?? '/').replace(/\?.*$/s, '');
  const file = Object.hasOwn(FILES, path) ? FILES[path] : undefined;
  if (file === undefined) {
    response.writeHead(404, {'content-type': 'text/plain; charset=utf-8'}).end('There is no such page.\n');
    return;
  }
  const {plain, zipped, etag} = await read(path, file.path());
  response.setHeader('etag', etag);
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  const takesZipped = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  const body = takesZipped ? zipped : plain;
  response.writeHead(200, {
    'content-type': file.type,
    'content-length': body.length,
    ...(takesZipped && {'content-encoding': 'gzip'}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function read(name: string, path: string): Promise<Kept> {
  const known = kept.get(name) ?? readAnew(path);
  kept.set(name, known);
  known.catch(() => kept.delete(name));
  return known;
}

async function readAnew(path: string): Promise<Kept> {
  const plain = await readFile(path);
  const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
  return {plain, zipped: await promisify(gzip)(plain), etag: `"${hash}"`};
}
