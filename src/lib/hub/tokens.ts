// The tokens of a hub: the registry of a relay in the hub's own folder. The owner of a token is the id of its user.

import {join} from 'node:path';
import type {Clock} from '../core/clock.js';
import {type ListedToken, type MadeToken, TokenCommands} from '../relay/access/token-commands.js';
import {TokenRegistry} from '../relay/access/token-registry.js';
import type {HubUser} from './users.js';

/** Starts sessions and sees its own. */
export const SESSIONS: readonly string[] = ['hub:sessions'];
/** Sees and ends those of everybody, too. */
export const ADMIN: readonly string[] = [...SESSIONS, 'hub:admin'];

export interface HubTokenWish {
  readonly scopes?: readonly string[];
  readonly expiresInMs?: number;
}

export class HubTokens {
  readonly registry: TokenRegistry;
  readonly #commands: TokenCommands;

  constructor(stateDir: string, clock: Clock) {
    const folder = join(stateDir, 'hub');
    this.#commands = new TokenCommands(folder);
    this.registry = new TokenRegistry({stateDir: folder, clock, events: {emit: () => {}}});
  }

  /** @throws TunlError */
  async make(user: HubUser, {scopes = SESSIONS, expiresInMs}: HubTokenWish = {}): Promise<MadeToken> {
    return await this.#commands.create({name: user.name, owner: user.id, kind: 'hub', scopes, expiresInMs});
  }

  async list(): Promise<readonly {readonly owner: string; readonly token: ListedToken}[]> {
    return (await this.#commands.list()).map((token) => ({owner: token.record.owner, token}));
  }

  /** All tokens of a user. Returns how many there were. */
  async revokeOf(userId: string): Promise<number> {
    const active = (await this.list()).filter(
      ({owner, token}) => owner === userId && token.state === 'active',
    );
    for (const {token} of active) await this.#commands.revoke(token.record.id);
    return active.length;
  }
}
