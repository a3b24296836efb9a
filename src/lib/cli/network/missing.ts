// A member that a command is for, and that is not there yet.

import type {NoticeEvent} from '../../agent/events.js';
import type {Network} from '../../network/network.js';

export function isMissing({members}: Pick<Network, 'members'>, wanted: string): boolean {
  return !members.some(({name, address}) => name === wanted || address === wanted);
}

/** It may come later. */
export function missingNotice(network: string, wanted: string): NoticeEvent {
  return {
    type: 'notice',
    code: 'MEMBER_UNKNOWN',
    message: `The network ${network} has no member ${wanted} now. Connections are reset until it joins.`,
  };
}
