// The token that agents need now. It can change while the relay runs.

import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {createTokenCheck, type TokenCheck, type TokenVerdict} from './tokens.js';

export class CurrentToken implements TokenCheck, Part {
  #check: TokenCheck;

  constructor(token: string | undefined) {
    this.#check = createTokenCheck(token);
  }

  check(authorization: string | undefined): TokenVerdict {
    return this.#check.check(authorization);
  }

  reload({token}: Pick<RelaySettings, 'token'>): void {
    this.#check = createTokenCheck(token);
  }
}
