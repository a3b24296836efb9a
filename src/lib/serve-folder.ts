// A folder as an upstream: a small HTTP server of this process that only serves its files.
//
// `@fastify/send` handles paths, types, ranges and conditions. This file checks the target of a path after its symbolic links
// are resolved: it must be a regular file inside the folder, and no part of its path may begin with a dot.

import {once} from 'node:events';
import {ReadStream} from 'node:fs';
import {realpath, stat} from 'node:fs/promises';
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {join, relative, resolve, sep} from 'node:path';
import {pipeline} from 'node:stream/promises';
import send from '@fastify/send';
import {TcpUpstream} from './agent/upstreams/tcp.js';
import {UnixUpstream} from './agent/upstreams/unix.js';
import type {Upstream} from './agent/upstreams/upstream.js';
import {systemCode, TunlError} from './core/errors.js';
import {createServer} from './core/node-http.js';
import {makeRunFolder, removeRunFolder} from './launch/run-folder.js';

export interface ServeFolderOptions {
  /** Absolute. */
  path: string;
  label: string;
  /** The socket is below it: no other user of this machine may connect. */
  stateDir: string;
}

/** A longer path is not possible for Unix sockets on all systems. */
const MAX_SOCKET_PATH = 103;

/** @throws TunlError FOLDER_MISSING, FOLDER_INVALID, FILE_UNREADABLE, STATE_DIR */
export async function serveFolder({path, label, stateDir}: ServeFolderOptions): Promise<Upstream> {
  await checkFolder(path);
  const server = createServer((request, response) => {
    void answer(path, request, response).catch(() => response.destroy());
  });
  // A visitor who has sent its request and half-closed still gets the answer; Node's types do not list this option.
  Object.assign(server, {httpAllowHalfOpen: true});
  const run = await makeRunFolder(stateDir);
  const close = async () => {
    server.close();
    server.closeAllConnections();
    await removeRunFolder(run);
  };
  try {
    const socket = join(run, 'http');
    const fits = process.platform !== 'win32' && Buffer.byteLength(socket) <= MAX_SOCKET_PATH;
    server.listen(fits ? {path: socket} : {host: '127.0.0.1', port: 0});
    await once(server, 'listening');
    const upstream = fits
      ? new UnixUpstream(socket, label)
      : new TcpUpstream({host: '127.0.0.1', port: (server.address() as AddressInfo).port}, label);
    return Object.assign(upstream, {close});
  } catch (error) {
    await close();
    throw error;
  }
}

async function checkFolder(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new TunlError('FOLDER_MISSING', {reason: `There is no folder ${path}.`, cause: error});
    throw new TunlError('FILE_UNREADABLE', {reason: `${path} cannot be read (${code}).`, cause: error});
  });
  if (!found.isDirectory()) throw new TunlError('FOLDER_INVALID', {reason: `${path} is not a folder.`});
}

async function answer(root: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const {method, url = ''} = request;
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405, {Allow: 'GET, HEAD'});
  const path = url.replace(/[?#].*$/s, '');
  if (!path.startsWith('/')) return refuse(response, 400);
  const onFile = async (file: string) => {
    if (!(await isInside(root, file))) throw new NotServed();
  };
  try {
    const found = await send(request, path, {root, dotfiles: 'ignore', onFile});
    if (found.type === 'error') {
      const range = found.headers['Content-Range'];
      return refuse(response, found.statusCode, range === undefined ? {} : {'Content-Range': range});
    }
    if (found.type === 'directory') {
      if (!(await isInside(root, found.metadata.path, 'folder'))) return refuse(response, 404);
      const query = url.slice(path.length).replace(/#.*$/s, '');
      // One slash at the beginning: two would begin the name of another host.
      return refuse(response, 301, {Location: `/${path.replace(/^[/\\]+/, '')}/${query}`});
    }
    await give(found, response);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else if (error instanceof NotServed || ['EACCES', 'EPERM', 'ENOENT'].includes(systemCode(error)))
      refuse(response, 404);
    else refuse(response, 503);
  }
}

/** The path exists, but must not be served. */
class NotServed extends Error {}

/** The folder's own links are resolved for each request, because a build may replace the folder. */
async function isInside(root: string, path: string, kind: 'file' | 'folder' = 'file'): Promise<boolean> {
  const [realRoot, real] = await Promise.all([realpath(root), realpath(path)]);
  const parts = relative(realRoot, real).split(sep);
  if (resolve(realRoot, ...parts) !== real || parts.some((part) => part.startsWith('.'))) return false;
  // Reading a FIFO or a device would wait for ever.
  const found = await stat(real);
  return kind === 'file' ? found.isFile() : found.isDirectory();
}

async function give({statusCode, headers, stream}: send.SendResult, response: ServerResponse): Promise<void> {
  const length = Number(headers['Content-Length'] ?? 0);
  // Empty files too: only the open tells whether the file may be read.
  if (stream instanceof ReadStream) await once(stream, 'open');
  if (!(stream instanceof ReadStream) || length === 0) {
    // A close that fails does not concern the visitor, and must not end the process.
    stream.on('error', () => {}).destroy();
    response.writeHead(statusCode, headers).end();
    return;
  }
  response.writeHead(statusCode, {...headers, 'X-Content-Type-Options': 'nosniff'});
  await pipeline(stream, response, {end: false});
  // The file has become shorter: the visitor must not wait for the rest.
  if (stream.bytesRead < length) response.destroy();
  else response.end();
}

function refuse(response: ServerResponse, status: number, more: Record<string, string> = {}): void {
  const text = `${status}\n`;
  response.writeHead(status, {'Content-Type': 'text/plain', 'Content-Length': text.length, ...more});
  response.end(text);
}
