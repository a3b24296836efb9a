// The web terminal: the page, and a WebSocket for each page that shows the shell. Everything requires the password.
import type {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {type WebSocket, WebSocketServer} from 'ws';
import {createServer} from '../../core/node-http.js';
import {endWith} from '../../net/end-with.js';
import type {Exit} from '../exit.js';
import {PasswordCheck, type Refusal, refusalHead} from '../password-check.js';

import {answerFile} from './files.js';
import {readPageMessage} from './messages.js';
import {SharedShell, type SharedShellOptions} from './shared-shell.js';

export interface WebTerminalOptions extends Omit<SharedShellOptions, 'onEnd'> {
  /** On 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export interface WebTerminal {
  readonly port: number;
  /** Resolves when the shell has ended, or was not started before `close`, and the pages have been told. */
  readonly ended: Promise<Exit>;
  /** Hangs up the shell. */
  close(): void;
}

const MOST_VISITORS = 32;
/** A page sends pastes in smaller pieces. */
const LONGEST_MESSAGE = 64 * 1_024;
/** A page whose network is gone does not answer; after two of these intervals it is dropped, ms. */
const PING_EVERY_MS = 15_000;
/** How long pages may take to read the last output, ms. */
const LAST_BYTES_MS = 500;

/** How long a shell may take to end after SIGHUP, ms. */
const HANG_UP_MS = 300;

export async function openWebTerminal(options: WebTerminalOptions): Promise<WebTerminal> {
  const check = new PasswordCheck({...options, realm: 'terminal'});
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LONGEST_MESSAGE,
    perMessageDeflate: false,
    clientTracking: true,
  });
  const {promise: ended, resolve: end} = Promise.withResolvers<Exit>();

  const server = createServer((request, response) => {
    const verdict = check.judge(request.headers);
    const refusal = check.refusal(verdict);
    if (refusal) {
      response.writeHead(refusal.status, {...refusal.headers, connection: 'close'}).end(refusal.text);
      return;
    }
    if (verdict === 'password') response.setHeader('set-cookie', check.cookie);
    answerFile(request, response).catch(() => response.destroy());
  });

  const shell = new SharedShell({...options, onEnd: (exit) => void finish(exit)});
  const finish = async (exit: Exit) => {
    server.close();
    shell.tellEnd(exit);
    const all = [...sockets.clients].map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once('close', () => resolve());
          socket.close(1000);
          setTimeout(() => socket.terminate(), LAST_BYTES_MS).unref();
        }),
    );
    await Promise.all(all);
    // Refused upgrades too, which closeAllConnections leaves open: the process ends with its last connection.
    for (const connection of connections) connection.destroy();
    end(exit);
  };

  const connections = new Set<Socket>();
  server.on('connection', (connection) => {
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const refusal = check.refusal(check.judge(request.headers)) ?? refusalOf(request, sockets.clients.size);
    if (refusal) endWith(socket, refusalHead(refusal));
    else sockets.handleUpgrade(request, socket, head, (page) => attend(page, shell));
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    ended,
    close: () => {
      if (!shell.hangUp()) void finish({code: 0, signal: null});
      // A shell that ignores SIGHUP ends when this process is ended. The pages are told nevertheless.
      else setTimeout(() => void finish({code: null, signal: 'SIGHUP'}), HANG_UP_MS).unref();
    },
  };
}

/** A page of another site must not reach the shell, whatever the visitor's browser sends with it. */
function refusalOf({headers, url}: IncomingMessage, visitors: number): Refusal | undefined {
  const plain = {headers: {}, text: ''};
  if (url !== '/shell') return {status: 404, reason: 'Not Found', ...plain};
  const origin = headers.origin ?? '';
  const isOwn = URL.canParse(origin) && new URL(origin).host === headers.host?.toLowerCase();
  if (!isOwn) return {status: 403, reason: 'Forbidden', ...plain};
  if (visitors >= MOST_VISITORS) return {status: 503, reason: 'Service Unavailable', ...plain};
  return undefined;
}

function attend(page: WebSocket, shell: SharedShell): void {
  const visitor = shell.join(page);
  let isAlive = true;
  const pings = setInterval(() => {
    if (!isAlive) return page.terminate();
    isAlive = false;
    page.ping();
  }, PING_EVERY_MS);
  page.on('pong', () => (isAlive = true));
  page.on('error', () => page.terminate());
  page.on('close', () => {
    clearInterval(pings);
    shell.leave(visitor);
  });
  page.on('message', (data: Buffer, isBinary) => {
    isAlive = true;
    const message = isBinary ? undefined : readPageMessage(data.toString());
    const isGood = isBinary
      ? shell.input(visitor, data)
      : message !== undefined && shell.message(visitor, message);
    if (!isGood) page.close(1008);
  });
}
