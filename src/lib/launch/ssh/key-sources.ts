// Keys on this machine: in a file, or in the running ssh-agent. Each source gives a KeyList or an error.
import {open} from 'node:fs/promises';
import {systemCode, TunlError} from '../../core/errors.js';
import {run} from '../run.js';
import {type KeyList, looksPrivate, parseKeyList, privateKey} from './key-list.js';
import type {PublicKey} from './public-key.js';

/** Enough for 10,000 RSA keys. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;
/** Enough to recognise a private key by its first line, too little to hold a part of the key. */
const HEAD_BYTES = 48;

/** A public key file or an authorized_keys file; options before keys are kept. */
export async function keysFromFile(path: string): Promise<KeyList> {
  let text: string;
  try {
    text = await readKeyFile(path);
  } catch (error) {
    if (error instanceof TunlError) throw error;
    throw new TunlError('FILE_UNREADABLE', {
      reason: `The key file ${path} cannot be read (${systemCode(error) || 'unknown error'}).`,
      cause: error,
    });
  }
  return parseKeyList(text, {source: path, allowOptions: true});
}

async function readKeyFile(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const {size} = await file.stat();
    if (size > MAX_FILE_BYTES)
      throw new TunlError('KEY_INVALID', {reason: `${path} is too large for a key file.`});
    const head = Buffer.alloc(HEAD_BYTES);
    const {bytesRead} = await file.read(head, 0, HEAD_BYTES, 0);
    const start = head.toString('latin1', 0, bytesRead);
    if (looksPrivate(start) || /^\s*-----BEGIN [A-Z0-9 ]*PRIVATE/.test(start)) throw privateKey(path);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** The keys that the running ssh-agent holds. */
export async function keysFromAgent(env: Readonly<NodeJS.ProcessEnv> = process.env): Promise<KeyList> {
  const {code, stdout} = await run('ssh-add', ['-L'], {env});
  if (code === 0) return parseKeyList(stdout, {source: 'the ssh agent', allowOptions: false});
  // 1: the agent holds no key. 2: there is no agent. Other codes: there is no ssh-add.
  throw new TunlError('KEY_SOURCE', {
    reason: code === 1 ? 'The ssh agent holds no keys.' : 'No ssh agent can be asked for keys.',
    next:
      code === 1 ? 'Add one with `ssh-add`, or give a key file with --key.' : 'Give a key file with --key.',
  });
}

/** Joins several sources; of a key given twice the first is used, with its options. */
export function mergeKeys(lists: readonly KeyList[]): KeyList {
  const keys = new Map<string, PublicKey>();
  for (const key of lists.flatMap((list) => list.keys)) if (!keys.has(key.data)) keys.set(key.data, key);
  return {keys: [...keys.values()], notices: lists.flatMap((list) => list.notices)};
}
