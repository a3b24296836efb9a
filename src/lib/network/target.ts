// A port of a member as users write it: `trainer:8000`, `[fdaa:…]:8000`.

import {TunlError} from '../core/errors.js';
import {checkPort, formatHostPort} from '../protocol/targets.js';

export interface MemberPort {
  /** A member's name, or its address. */
  readonly name: string;
  readonly port: number;
}

/** @throws TunlError TARGET_INVALID, PORT_RANGE */
export function readMemberPort(text: string): MemberPort {
  const [, address, name, port] = /^(?:\[([0-9a-f:]+)\]|([a-z0-9-]+)):(\d+)$/i.exec(text.trim()) ?? [];
  const to = address ?? name;
  if (to === undefined) {
    throw new TunlError('TARGET_INVALID', {
      reason: `${JSON.stringify(text)} is no port of a member.`,
      next: 'Write it like trainer:8000.',
    });
  }
  return {name: to.toLowerCase(), port: checkPort(Number(port))};
}

export const memberPortText = ({name, port}: MemberPort): string => formatHostPort(name, port);
