// The last lines of a session's output, for people: no control characters, no secrets, bounded.

import {oneLine} from '../core/one-line.js';
import type {LogPiece, SandboxControl} from '../sandbox/control.js';

const LINES = 20;
const MAX_LINE = 300;
const MAX_BYTES = 64 * 1024;
const WAIT_MS = 1_000;

export interface OutputSource {
  /** A session that runs. */
  readonly sandbox: Pick<SandboxControl, 'logs'> | undefined;
  /** The output of one that has ended. */
  readonly kept: () => Promise<readonly LogPiece[]>;
  readonly secrets: readonly string[];
}

/** Never rejects: without an answer there are no lines. */
export async function lastLines({sandbox, kept, secrets}: OutputSource): Promise<readonly string[]> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const take = ({bytes: piece}: LogPiece) => {
    pieces.push(piece);
    bytes += piece.length;
    while (bytes > MAX_BYTES && pieces.length > 1) bytes -= pieces.shift()?.length ?? 0;
  };
  try {
    const running = sandbox?.logs({signal: AbortSignal.timeout(WAIT_MS)}) ?? [];
    for await (const piece of running) take(piece);
  } catch {
    // It ends at this moment.
  }
  if (bytes === 0) for (const piece of await kept().catch(() => [])) take(piece);
  return linesOf(Buffer.concat(pieces).toString('utf8'), secrets);
}

export function linesOf(text: string, secrets: readonly string[]): readonly string[] {
  const clean = secrets.filter(Boolean).reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
  return clean
    .split(/\r\n|[\n\r]/)
    .map((line) => oneLine(line).slice(0, MAX_LINE).trimEnd())
    .filter((line) => line !== '')
    .slice(-LINES);
}
