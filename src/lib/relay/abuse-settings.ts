// The settings of a relay against abuse: names that need a scope of their own, and the place for reports.

import {TunlError} from '../core/errors.js';
import {list, setting, text} from '../core/settings.js';
import {reservedName} from './tunnels/reserved-names.js';

const ABUSE = 'abuse';
const MOST_NAMES = 1_000;

export const ABUSE_SETTINGS = {
  reservedNames: setting(list(text('NAME', reservedName), {most: MOST_NAMES}), {
    default: [],
    defaultText: 'the usual ones',
    flag: 'reserved-name',
    help: 'A name, or *part*, that needs a scope of its own; repeatable.',
    group: ABUSE,
    reloads: true,
  }),
  abuseContact: setting(text('CONTACT', contactUri), {
    defaultText: 'none',
    flag: 'abuse-contact',
    help: 'E-mail address or https:// page for reports of abuse.',
    group: ABUSE,
  }),
};

/** `mailto:` or `https:`. @throws TunlError OPTION_INVALID */
function contactUri(written: string): string {
  const isMail = /^(mailto:)?[\w.+-]+@[a-z0-9.-]+\.[a-z0-9-]+$/i.test(written);
  if (isMail) return written.startsWith('mailto:') ? written : `mailto:${written}`;
  const url =
    /^https:\/\/[\x21-\x7e]+$/.test(written) && URL.canParse(written) ? new URL(written).href : undefined;
  if (url !== undefined && url.length <= 200) return url;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(written.slice(0, 80))} is neither an e-mail address nor an https URL.`,
    next: 'Give one like abuse@example.net or https://example.net/abuse.',
  });
}
