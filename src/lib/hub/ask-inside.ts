// One small HTTP request to a program inside a sandbox. The program is not trusted: its answer is bounded in time and size.

import type {Socket} from 'node:net';
import {request as startRequest} from '../core/node-http.js';
import type {SandboxControl} from '../sandbox/control.js';

const TIMEOUT_MS = 2_000;
const MAX_BODY_BYTES = 256 * 1024;

export interface InsideRequest {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface InsideAnswer {
  readonly status: number;
  readonly body: string;
}

/** @throws Error when there is no answer within two seconds, or it is longer than 256 KiB */
export async function askInside(
  sandbox: Pick<SandboxControl, 'dial'>,
  port: number,
  {path, headers = {}, signal}: InsideRequest,
): Promise<InsideAnswer> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const either = signal === undefined ? late : AbortSignal.any([signal, late]);
  const connection = await sandbox.dial(port, either);
  connection.on('error', () => {});
  try {
    return await new Promise<InsideAnswer>((resolve, reject) => {
      const request = startRequest({
        // Node's client takes any duplex.
        createConnection: () => connection as Socket,
        path,
        setHost: false,
        headers: {host: `localhost:${port}`, connection: 'close', ...headers},
        signal: either,
      });
      request.on('error', reject);
      // A program may switch protocols, or end without an answer.
      request.on('upgrade', (_response, socket) => {
        socket.destroy();
        reject(new Error('the answer is no answer'));
      });
      request.on('close', () => reject(new Error('there is no answer')));
      either.addEventListener('abort', () => reject(either.reason), {once: true});
      request.on('response', (response) => {
        const pieces: Buffer[] = [];
        let bytes = 0;
        response.on('error', reject);
        response.on('data', (piece: Buffer) => {
          bytes += piece.length;
          if (bytes > MAX_BODY_BYTES) request.destroy(new Error('the answer is too long'));
          else pieces.push(piece);
        });
        response.on('end', () =>
          resolve({status: response.statusCode ?? 0, body: Buffer.concat(pieces).toString('utf8')}),
        );
      });
      request.end();
    });
  } finally {
    connection.destroy();
  }
}
