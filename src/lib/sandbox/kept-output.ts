// The last output of a sandbox that has ended, in its folder: people look it up afterwards.

import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {checkStateFile} from '../core/state-trust.js';
import {MalformedMessage} from '../protocol/fields.js';
import type {LogPiece} from './control.js';
import {encodePiece, PieceReader} from './control-wire.js';

const FILE = 'output';

/** Never rejects: a full disk must not keep a sandbox from ending. */
export async function keepOutput(folder: string, pieces: AsyncIterable<LogPiece>): Promise<void> {
  try {
    const all = await Array.fromAsync(pieces, encodePiece);
    await writeFile(join(folder, FILE), Buffer.concat(all), {mode: 0o600});
  } catch {
    // Its output is lost; the reason of its end is not.
  }
}

/** Empty for one whose owner was killed. @throws TunlError STATE_DIR */
export async function keptOutput(folder: string): Promise<LogPiece[]> {
  const path = join(folder, FILE);
  await checkStateFile(path);
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  try {
    return new PieceReader().push(bytes);
  } catch (error) {
    if (error instanceof MalformedMessage) return [];
    throw error;
  }
}
