// The link of `tunl connect`, and its settings. A link opens its tunnel to everybody who reads it.

import {LINK_SETTINGS} from '../agent/settings-table.js';
import {isLoopbackHost} from '../agent/target.js';
import {TunlError} from '../core/errors.js';
import {file, setting, text} from '../core/settings.js';
import {readSecretFile} from '../core/state-dir.js';
import {type LinkPlace, readLink} from '../linked-visit.js';

/** Without the heading of the flags for a relay. */
const {group: _, ...caFile} = LINK_SETTINGS.caFile;

export const CONNECT_SETTINGS = {
  linkFile: setting(file, {
    flag: 'link-file',
    help: 'The link, on the first line. Or set TUNL_LINK.',
  }),
  listen: setting(text('HOST:PORT'), {
    flag: 'listen',
    help: 'A port of this machine instead of stdin and stdout.',
  }),
  caFile,
};

interface LinkContext {
  warn: (message: string) => void;
  env?: NodeJS.ProcessEnv;
}

/** Where to connect: the argument, the file, or TUNL_LINK. @throws TunlError USAGE, FILE_UNREADABLE, TARGET_INVALID, … */
export async function linkOf(
  argument: string | undefined,
  linkFile: string | undefined,
  {warn, env = process.env}: LinkContext,
): Promise<LinkPlace> {
  if (argument !== undefined && linkFile !== undefined) {
    throw new TunlError('USAGE', {
      reason: 'HOST and --link-file name two tunnels.',
      next: 'Give one of them: a link has the name.',
    });
  }
  if (argument !== undefined) {
    const link = readLink(argument);
    if (link.token === undefined) return link;
    // It overwrites the command line that `ps` shows.
    process.title = 'tunl connect';
    warn(
      'other users of this machine may have seen the link in the command line: use --link-file or TUNL_LINK',
    );
    return link;
  }
  if (linkFile !== undefined) return readLink(await readSecretFile(linkFile, 'link'));
  if (env.TUNL_LINK) return readLink(env.TUNL_LINK);
  throw new TunlError('USAGE', {
    reason: 'There is no tunnel to connect to.',
    next: 'Give HOST[:PORT], --link-file FILE, or set TUNL_LINK.',
  });
}

export function warnOfListening({host}: {host: string}, warn: (message: string) => void): void {
  if (!isLoopbackHost(host))
    warn(`everybody who reaches ${host} can use the tunnel: 127.0.0.1 is for this machine only`);
}
