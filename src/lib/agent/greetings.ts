// The handshakes under way: links without a session, and what relays are told when the agent ends.

import {type AgentHandshake, greetRelay} from '../mux/handshake.js';
import type {Link} from '../mux/link.js';
import type {Welcome} from '../protocol/link-messages.js';

export class Greetings {
  readonly #leaving = new AbortController();
  readonly #links = new Set<Link>();

  /** Like `greetRelay`. */
  async greet(
    link: Link,
    handshake: Omit<AgentHandshake, 'leaving'>,
    attach: (welcome: Welcome, features: readonly string[]) => void,
  ): Promise<void> {
    this.#links.add(link);
    try {
      await greetRelay(link, {...handshake, leaving: this.#leaving.signal}, attach);
    } finally {
      this.#links.delete(link);
    }
  }

  /** The agent ends: relays that may have begun a session are told. Resolves when the links are closed. */
  async leave(): Promise<void> {
    const gone = [...this.#links].map((link) => link.gone());
    this.#leaving.abort();
    await Promise.all(gone);
  }
}
