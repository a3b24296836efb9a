// Files of /etc that are made for the sandbox, because the host's name accounts and servers of the host.

import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

/** The one account inside. */
export const ACCOUNT = {uid: 1000, gid: 1000, name: 'user', home: '/home/user'} as const;

const FILES: Readonly<Record<string, string>> = {
  passwd: [
    'root:x:0:0:root:/nonexistent:/usr/sbin/nologin',
    `${ACCOUNT.name}:x:${ACCOUNT.uid}:${ACCOUNT.gid}:${ACCOUNT.name}:${ACCOUNT.home}:/bin/sh`,
    'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
    '',
  ].join('\n'),
  group: ['root:x:0:', `${ACCOUNT.name}:x:${ACCOUNT.gid}:`, 'nogroup:x:65534:', ''].join('\n'),
  hosts: ['127.0.0.1 localhost sandbox', '::1 localhost ip6-localhost sandbox', ''].join('\n'),
  hostname: 'sandbox\n',
  // Programs ask this server; without a network nobody answers.
  'resolv.conf': 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n',
};

export const HOSTNAME = 'sandbox';

/** @returns the names; each is a file in `folder`. */
export async function makeEtcFiles(
  folder: string,
  more: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  await mkdir(folder, {mode: 0o755});
  const files = {...FILES, ...more};
  // The mode is for the sandbox's own user of the host, which is another one below root.
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, {mode: 0o644});
  return Object.keys(files);
}
