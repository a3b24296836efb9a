// Reads a configuration file as text. Anything but a small text file is refused before it is parsed.

import {constants} from 'node:fs';
import {open} from 'node:fs/promises';
import {systemCode, TunlError} from '../../core/errors.js';

/** Ten thousand lines. The parser needs a second for what is hard to parse. */
export const MAX_CONFIG_BYTES = 256 * 1024;

/** @throws TunlError FILE_UNREADABLE, CONFIG_SYNTAX */
export async function readConfigText(path: string): Promise<string> {
  const bytes = await read(path);
  const syntax = (reason: string, next: string) =>
    new TunlError('CONFIG_SYNTAX', {reason: `${path}: ${reason}`, next});
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw syntax(
      `A configuration file has at most ${MAX_CONFIG_BYTES / 1024} KiB.`,
      'Check that it is the right file.',
    );
  }
  if (bytes.includes(0)) throw syntax('This is not a text file.', 'Check that it is the right file.');
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  } catch {
    throw syntax('The text is not UTF-8.', 'Save it in UTF-8.');
  }
}

/** One byte more than allowed, at the most. */
async function read(path: string): Promise<Buffer> {
  const unreadable = (why: string, cause?: unknown) =>
    new TunlError('FILE_UNREADABLE', {reason: `${path} cannot be read (${why}).`, cause});
  try {
    // Without O_NONBLOCK the opening of a pipe waits for its writer.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      if (!(await file.stat()).isFile()) throw unreadable('it is not a file');
      const bytes = Buffer.alloc(MAX_CONFIG_BYTES + 1);
      let length = 0;
      while (length < bytes.length) {
        const {bytesRead} = await file.read(bytes, length, bytes.length - length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return bytes.subarray(0, length);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof TunlError) throw error;
    throw unreadable(systemCode(error), error);
  }
}
