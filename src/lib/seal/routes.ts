// Whether programs in a sealed network have a way out. The holder makes its listeners and routes.

import type {HolderWord} from './holder.js';

export class Routes {
  readonly #tell: (word: HolderWord) => Promise<unknown>;
  /** The state of the namespace: listeners and routes, listeners alone, or neither yet. */
  #state: 'open' | 'none' | 'never' = 'never';
  #changes: Promise<void> = Promise.resolve();

  /** @param tell rejects when the holder has not done it */
  constructor(tell: (word: HolderWord) => Promise<unknown>) {
    this.#tell = tell;
  }

  /** Changes keep their order, so the last call decides. After a rejection everything is as it was before the call. */
  set(isOpen: boolean): Promise<void> {
    const change = this.#changes.then(() => this.#change(isOpen));
    this.#changes = change.catch(() => {});
    return change;
  }

  async #change(isOpen: boolean): Promise<void> {
    if (isOpen === (this.#state === 'open')) return;
    const word = this.#state === 'never' ? 'open' : 'routes';
    await this.#tell(isOpen ? word : 'none');
    this.#state = isOpen ? 'open' : 'none';
  }
}
