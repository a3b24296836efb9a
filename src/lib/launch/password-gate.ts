// A password in front of a program that accepts one only in its arguments, where everybody on the machine could read it.
//
// HTTP on a loopback port → the program's Unix socket, only for requests with the right credentials. Each request is
// checked, not each connection: a proxy between visitor and relay may send several visitors' requests on one connection.
import type {IncomingMessage} from 'node:http';
import {connect, type Socket} from 'node:net';
import {createServer, request} from '../core/node-http.js';
import {endWith} from '../net/end-with.js';
import {PasswordCheck, refusalHead} from './password-check.js';

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
  const check = new PasswordCheck(options);
  const sockets = new Set<Socket>();

  const server = createServer((visitor, answer) => {
    const verdict = check.judge(visitor.headers);
    const refusal = check.refusal(verdict);
    if (refusal) {
      answer.writeHead(refusal.status, {...refusal.headers, connection: 'close'}).end(refusal.text);
      return;
    }
    const upstream = request(
      {socketPath: options.socketPath, method: visitor.method, path: visitor.url, headers: visitor.headers},
      (reply) => {
        const cookie = verdict === 'password' ? ['set-cookie', check.cookie] : [];
        answer.writeHead(reply.statusCode ?? 502, [...reply.rawHeaders, ...cookie]);
        // A part of an answer must not look like one that takes its time.
        reply.once('error', () => answer.destroy());
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
    const refusal = check.refusal(check.judge(visitor.headers));
    if (refusal) {
      endWith(socket, refusalHead(refusal));
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

/** The request's head as the visitor sent it. */
function headOf(message: IncomingMessage): string {
  const lines = [`${message.method} ${message.url} HTTP/${message.httpVersion}`];
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    lines.push(`${message.rawHeaders[i]}: ${message.rawHeaders[i + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
