// A secret from the terminal without echo, or from a pipe. It never comes from the command line.

import {on} from 'node:events';
import {createInterface} from 'node:readline';
import {Writable} from 'node:stream';
import {TunlError} from '../core/errors.js';
import {readSecretFile} from '../core/state-dir.js';

/** The most that is read from a pipe: longer than every token. */
const MAX_CHARS = 64 * 1024;

/**
 * The first line of a file; of standard input when the path is `-`.
 *
 * @throws TunlError ABORTED, TOKEN_FILE_EMPTY, FILE_UNREADABLE
 */
export async function tokenFrom(path: string, signal?: AbortSignal): Promise<string> {
  return path === '-' ? await firstLine(signal) : await readSecretFile(path);
}

/**
 * Asks on stderr when standard input is a terminal; otherwise reads the first line.
 *
 * @throws TunlError ABORTED, also after Ctrl+C, TOKEN_FILE_EMPTY
 */
export async function askSecret(prompt: string, signal?: AbortSignal): Promise<string> {
  if (!process.stdin.isTTY) return await firstLine(signal);
  // A terminal echoes what the interface writes: nothing.
  const nowhere = new Writable({write: (_piece, _encoding, done) => done()});
  const asked = createInterface({
    ...{input: process.stdin, output: nowhere, terminal: true, historySize: 0},
    signal,
  });
  process.stderr.write(prompt);
  try {
    return required(
      await new Promise<string>((resolve, reject) => {
        asked.once('line', resolve);
        asked.once('SIGINT', () => reject(new TunlError('ABORTED')));
        asked.once('close', () => reject(new TunlError('ABORTED')));
      }),
    );
  } finally {
    asked.close();
    process.stdin.pause();
    process.stderr.write('\n');
  }
}

async function firstLine(signal?: AbortSignal): Promise<string> {
  const {stdin} = process;
  let text = '';
  try {
    for await (const [piece] of on(stdin.setEncoding('utf8'), 'data', {signal, close: ['end', 'close']})) {
      text += piece;
      if (text.includes('\n') || text.length > MAX_CHARS) break;
    }
  } catch (error) {
    throw signal?.aborted ? new TunlError('ABORTED', {cause: error}) : error;
  } finally {
    stdin.pause();
  }
  return required(text.split('\n', 1)[0] ?? '');
}

function required(line: string): string {
  const secret = line.trim();
  if (secret !== '') return secret;
  throw new TunlError('TOKEN_FILE_EMPTY', {
    reason: 'No token was given.',
    next: 'Give it on the first line.',
  });
}
