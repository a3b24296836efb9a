// Holds an egress with its ports for `tunl egress listen` and `forward`, until somebody ends the command.

import {TunlError} from '../../core/errors.js';
import {onOff, setting, text} from '../../core/settings.js';
import {type Egress, type EgressEvent, egress} from '../../egress/egress.js';
import {EGRESS_SETTINGS} from '../../egress/run-settings.js';
import {withContext} from '../contexts.js';
import {hold} from '../hold.js';
import {OWN_LINK_SETTINGS, type OwnLinkFlags, ownLinkFlags} from '../own-link.js';
import type {Presenter} from '../presenter.js';
import {flagsOf, optionsOf, type ValuesOf} from '../setting-flags.js';
import {FailureReports} from './failure-reports.js';

const PROXY_SETTINGS = {
  listen: setting(text('HOST:PORT'), {
    flag: 'listen',
    help: 'The address of this machine; default 127.0.0.1 and a free port.',
  }),
  env: setting(onOff, {
    default: false,
    flag: 'env',
    help: 'Print `export HTTPS_PROXY=…` and the like, then end stdout.',
  }),
  auth: setting(onOff, {
    default: true,
    flag: 'no-auth',
    key: 'auth',
    off: 'No password: whoever reaches the port may use it.',
  }),
};

export const egressPortFlags = {...flagsOf(EGRESS_SETTINGS), ...ownLinkFlags};
export const proxyFlags = {...flagsOf({...EGRESS_SETTINGS, ...PROXY_SETTINGS}), ...ownLinkFlags};

type PortFlags = ValuesOf<typeof EGRESS_SETTINGS> & OwnLinkFlags;

export interface HeldEgress {
  presenter: Presenter;
  flags: PortFlags;
  /** Opens the ports and shows them. */
  begin: (egress: Egress) => Promise<void>;
}

/** @throws TunlError USAGE, as `egress`, and as `begin` */
export async function holdEgress({presenter, flags, begin}: HeldEgress): Promise<void> {
  const {via, spread} = flags;
  if (!via) {
    throw new TunlError('USAGE', {
      reason: 'No egress is named.',
      next: 'Give --via NAME; `tunl egress list` shows the names.',
    });
  }
  const chosen = await withContext(flags, (line) => presenter.tell({tone: 'faint', text: line}));
  using failures = new FailureReports(presenter);
  const onEvent = (event: EgressEvent) => {
    if (event.type === 'failed') failures.note(event);
    else presenter.event(event);
  };
  let served = () => 0;
  await hold({
    drainTimeoutMs: 0,
    onLeave: () => presenter.end(),
    onReaderGone: presenter.readerGone,
    open: async (signal) => {
      presenter.begin('connecting to the relay');
      const options = optionsOf(OWN_LINK_SETTINGS, chosen);
      const opened = await egress(via, {
        ...options,
        ...(spread && {spread}),
        signal,
        onEvent,
        log: presenter.log,
      });
      served = () => opened.served;
      try {
        await begin(opened);
      } catch (error) {
        await opened.close();
        throw error;
      }
      return opened;
    },
  });
  presenter.event({type: 'closed', connections: served()});
  presenter.end();
}

/** The common fields of the events of all ports of an egress. */
export function portFacts({name, addresses, relay}: Egress, {host, port}: {host: string; port: number}) {
  return {egress: name, addresses, relay, address: {host, port}};
}
