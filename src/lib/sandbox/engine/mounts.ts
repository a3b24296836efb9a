// The folders of the host that a container gets, and the user of the host that it is because of them.

import {TunlError} from '../../core/errors.js';
import {type CheckedMount, checkMounts} from '../bubblewrap/check-mounts.js';
import {isSandboxUid} from '../bubblewrap/own-uid.js';
import type {SandboxMount} from '../spec.js';
import {NODE_FOLDER} from './host-node.js';
import {SCRATCH} from './plan.js';

/** @throws TunlError OPTION_INVALID, FILE_UNREADABLE */
export function checkedMounts(mounts: readonly SandboxMount[]): readonly CheckedMount[] {
  const checked = checkMounts(mounts);
  for (const {source, target} of checked) {
    if (target === SCRATCH || target === NODE_FOLDER || target.startsWith(`${NODE_FOLDER}/`))
      throw new TunlError('OPTION_INVALID', {
        reason: `${source} cannot be mounted into the sandbox: ${target} inside belongs to the sandbox.`,
        next: 'Choose another folder.',
      });
  }
  return checked;
}

/**
 * Undefined: nobody that exists. An ordinary user's sandbox is that user outside, when it may write to a folder of theirs. One of root is
 * never a person: only `hostUid`, or the owner of a folder that was made for sandboxes.
 * @throws TunlError OPTION_INVALID
 */
export function outsideUser(
  hostUid: number | undefined,
  mounts: readonly CheckedMount[],
  uid: number,
): number | undefined {
  const writable = mounts.filter(({readOnly}) => !readOnly);
  const owner = writable[0]?.owner;
  const wished = uid === 0 ? hostUid : undefined;
  const outside =
    wished ?? (owner === uid || (owner !== undefined && isSandboxUid(owner)) ? owner : undefined);
  if (wished === 0) throw new TunlError('OPTION_INVALID', {reason: 'A sandbox does not run as root.'});
  const foreign = writable.find((mount) => mount.owner !== outside || mount.owner === 0);
  if (foreign === undefined) return outside;
  throw new TunlError('OPTION_INVALID', {
    reason: `${foreign.source} belongs to user ${foreign.owner}: the sandbox is another user, and could not write there.`,
    next: 'Mount it read-only, give it to a user of sandboxes, or run tunl as the user who owns it.',
  });
}
