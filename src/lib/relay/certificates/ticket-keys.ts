// The keys that seal TLS session tickets.
//
// They follow from one secret of all processes of this relay, so every context that is made for the same name, owner and certificate key
// opens the tickets of the others: a context may be dropped and made again, and a renewed certificate that keeps its key
// ends no session. Contexts that differ in one of the three cannot open each other's tickets.

import {createHash, createHmac, randomBytes} from '../../core/node-crypto.js';

export interface TicketScope {
  /** The name that visitors ask for. */
  name: string;
  /** The owner of the tunnel; empty for the relay's own name. */
  owner: string;
  /** PEM of the certificate's private key. */
  key: string;
}

export const newTicketSecret = (): Buffer => randomBytes(48);

export class TicketKeys {
  /** It is never written down: whoever has it can read the recorded connections of TLS 1.2 that began with a ticket. */
  readonly #secret: Buffer;

  constructor(secret: Buffer = newTicketSecret()) {
    this.#secret = secret;
  }

  /** 48 bytes, as Node takes them. */
  of({name, owner, key}: TicketScope): Buffer {
    const keyId = createHash('sha256').update(key).digest('hex');
    return createHmac('sha384', this.#secret)
      .update(JSON.stringify([name, owner, keyId]))
      .digest();
  }
}
