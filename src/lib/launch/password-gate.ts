// A password in front of a program that takes none but by its arguments, where everybody on the machine could read it.
//
// HTTP on a loopback port → the program's Unix socket, for requests with the right Basic credentials only. Each request is
// checked, not each connection: something between visitor and relay may carry several visitors' requests on one.
import {createHash, timingSafeEqual} from 'node:crypto';
import type {IncomingMessage} from 'node:http';
import {connect, type Socket} from 'node:net';
import {createServer, request} from '../core/node-http.js';

export interface GateOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Where the program listens. */
  readonly socketPath: string;
  readonly user: string;
  readonly password: string;
  /** Shown by browsers that ask for the password. */
  readonly realm: string;
}

export interface Gate {
  close(): Promise<void>;
}

export async function openGate(options: GateOptions): Promise<Gate> {
  const expected = digest(basic(options.user, options.password));
  // Digests have one length, so that the comparison tells nothing, the length included.
  const allowed = (message: IncomingMessage) =>
    timingSafeEqual(digest(message.headers.authorization ?? ''), expected);
  const challenge = `Basic realm="${options.realm}", charset="UTF-8"`;
  const sockets = new Set<Socket>();

  const server = createServer((visitor, answer) => {
    if (!allowed(visitor)) {
      answer
        .writeHead(401, {'www-authenticate': challenge, connection: 'close'})
        .end('A password is needed.\n');
      return;
    }
    const upstream = request(
      {socketPath: options.socketPath, method: visitor.method, path: visitor.url, headers: visitor.headers},
      (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.rawHeaders);
        reply.pipe(answer);
      },
    );
    upstream.once('error', () => {
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(502).end();
    });
    answer.once('close', () => upstream.destroy());
    visitor.pipe(upstream);
  });

  server.on('upgrade', (visitor, socket: Socket, head) => {
    socket.on('error', () => socket.destroy());
    if (!allowed(visitor)) {
      socket.end(`HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${challenge}\r\nConnection: close\r\n\r\n`);
      return;
    }
    const upstream = connect(options.socketPath, () => {
      upstream.write(headOf(visitor));
      upstream.write(head);
      socket.pipe(upstream);
      upstream.pipe(socket);
    });
    upstream.on('error', () => socket.destroy());
    socket.once('close', () => upstream.destroy());
    upstream.once('close', () => socket.destroy());
  });

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // Upgraded ones too, which closeAllConnections leaves open.
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** The request's head as the visitor sent it. */
function headOf(message: IncomingMessage): string {
  const lines = [`${message.method} ${message.url} HTTP/${message.httpVersion}`];
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    lines.push(`${message.rawHeaders[i]}: ${message.rawHeaders[i + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
