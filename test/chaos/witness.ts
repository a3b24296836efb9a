// Another user's tunnel, in use all the time: it must not notice what happens to other sessions.
import {expect} from 'vitest';
import type {Scope} from '../helpers/scope.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import type {Rig} from './rig.js';
import {sleep} from './rig.js';

export interface Witness {
  /** The number of rounds that were answered so far. */
  readonly rounds: number;
  /** Ends its visit, and fails if it was disturbed. */
  undisturbed(): Promise<void>;
}

export async function startWitness(scope: Scope, rig: Rig): Promise<Witness> {
  const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
  const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
  const heard = record(visitor);
  let rounds = 0;
  let said = '';
  let going = true;
  const visiting = (async () => {
    while (going) {
      const word = `round ${rounds}\n`;
      said += word;
      visitor.write(word);
      await heard.received(said.length);
      rounds += 1;
      await sleep(10);
    }
  })();
  visiting.catch(() => {});
  return {
    get rounds() {
      return rounds;
    },
    undisturbed: async () => {
      going = false;
      await visiting;
      visitor.end();
      await heard.ended;
      expect(heard.data().toString()).toBe(said);
      expect(cli.events.map(({type}) => type).filter((type) => type !== 'connection')).toEqual(['ready']);
    },
  };
}
