import {createHmac} from 'node:crypto';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  agentProof,
  newNonce,
  newSecret,
  newSessionId,
  nextSecret,
  type ResumeFacts,
  relayProof,
  sameProof,
} from '../../../src/lib/mux/proof.js';
import {AgentTicket, RelayTicket} from '../../../src/lib/mux/resume-ticket.js';

const hex = (bytes: number) =>
  fc.uint8Array({minLength: bytes, maxLength: bytes}).map((b) => Buffer.from(b).toString('hex'));
const facts: fc.Arbitrary<ResumeFacts> = fc.record({
  id: hex(16),
  epoch: fc.integer({min: 1}),
  agentNonce: hex(16),
  relayNonce: hex(16),
});
const received = fc.maxSafeNat();

describe('proofs', () => {
  test('are the keyed hash of the specification', () => {
    fc.assert(
      fc.property(hex(32), facts, received, (secret, each, count) => {
        const mac = (purpose: string, number: number) =>
          createHmac('sha256', Buffer.from(secret, 'hex'))
            .update(
              `${purpose}\n${each.id}\n${each.epoch}\n${each.agentNonce}\n${each.relayNonce}\n${number}`,
            )
            .digest('hex');
        expect(agentProof(secret, each, count)).toBe(mac('tunl agent', count));
        expect(relayProof(secret, each, count)).toBe(mac('tunl relay', count));
        expect(nextSecret(secret, each)).toBe(mac('tunl next', 0));
      }),
    );
  });

  test('change with each of their inputs', () => {
    fc.assert(
      fc.property(hex(32), facts, received, hex(16), hex(32), (secret, each, count, other, otherSecret) => {
        const proofs = [
          agentProof(secret, each, count),
          relayProof(secret, each, count),
          nextSecret(secret, each),
          agentProof(otherSecret, each, count),
          agentProof(secret, {...each, id: other}, count),
          agentProof(secret, {...each, agentNonce: other}, count),
          agentProof(secret, {...each, relayNonce: other}, count),
          agentProof(secret, {...each, epoch: each.epoch + 1}, count),
          agentProof(secret, each, count + 1),
          agentProof(secret, {...each, agentNonce: each.relayNonce, relayNonce: each.agentNonce}, count),
        ];
        const distinct = each.agentNonce === each.relayNonce ? proofs.length - 1 : proofs.length;
        expect(new Set(proofs).size).toBe(distinct);
      }),
    );
  });

  test('are equal only when every digit is', () => {
    const proof = newSecret();
    expect(sameProof(proof, proof)).toBe(true);
    expect(sameProof(proof, proof.slice(2))).toBe(false);
    expect(sameProof(proof, '')).toBe(false);
    for (let i = 0; i < proof.length; i += 1) {
      const digit = proof[i] === '0' ? '1' : '0';
      expect(sameProof(proof, proof.slice(0, i) + digit + proof.slice(i + 1))).toBe(false);
    }
  });

  test('nonces, ids and secrets are new and of the right length', () => {
    for (const [make, digits] of [
      [newNonce, 32],
      [newSessionId, 32],
      [newSecret, 64],
    ] as const) {
      const made = new Set(Array.from({length: 100}, make));
      expect(made.size).toBe(100);
      for (const each of made) expect(each).toMatch(new RegExp(`^[0-9a-f]{${digits}}$`));
    }
  });
});

/** A relay and an agent that share a session; `resume` is one attempt, and either message may be lost. */
function session() {
  const relay = new RelayTicket();
  const agent = new AgentTicket(relay.id, relay.firstSecret, relay.epoch);
  const ask = (count = 0) => {
    const agentNonce = newNonce();
    const relayNonce = newNonce();
    const asked = agent.ask(agentNonce, relayNonce, count);
    return {asked, agentNonce, relayNonce};
  };
  const check = ({asked, agentNonce, relayNonce}: ReturnType<typeof ask>) =>
    relay.check({epoch: asked.epoch, agentNonce, relayNonce}, asked.received, asked.proof);
  const resume = (lost: 'nothing' | 'hello' | 'welcome' = 'nothing') => {
    const asked = ask();
    if (lost === 'hello') return;
    const verdict = check(asked);
    if (!verdict.ok) throw new Error(verdict.code);
    if (lost === 'nothing') expect(agent.confirm(verdict.epoch, 7, verdict.answer(7))).toBe(true);
  };
  return {relay, agent, ask, check, resume};
}

describe('a ticket', () => {
  test('works again and again, whichever hellos and welcomes are lost in between', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('nothing', 'hello', 'welcome'), {maxLength: 20}), (losses) => {
        const {relay, resume} = session();
        let epoch = relay.epoch;
        for (const lost of losses) {
          resume(lost as 'nothing');
          if (lost !== 'hello') expect(relay.epoch).toBeGreaterThan(epoch);
          epoch = relay.epoch;
        }
        resume();
      }),
    );
  });

  test('recorded messages do not work a second time: the relay’s nonce differs', () => {
    const {relay, ask, check} = session();
    const asked = ask();
    expect(check(asked).ok).toBe(true);
    expect(check({...asked, relayNonce: newNonce()})).toEqual({ok: false, code: 'SESSION_PROOF'});
    // Even with the same nonce, which no relay sends twice, the epoch is used up.
    expect(check(asked)).toEqual({ok: false, code: 'SESSION_STALE'});
    expect(relay.epoch).toBe(2);
  });

  test('an attempt that a later one has overtaken is stale', () => {
    const {relay, ask, check} = session();
    const early = ask();
    const late = ask();
    expect(check(late).ok).toBe(true);
    expect(check(early)).toEqual({ok: false, code: 'SESSION_STALE'});
    expect(relay.epoch).toBe(late.asked.epoch);
  });

  test('a forged attempt changes nothing', () => {
    const {relay, ask, check, resume} = session();
    const stranger = new AgentTicket(relay.id, newSecret(), 1_000);
    const asked = ask(10);
    const forgeries = [
      {...asked, asked: {...asked.asked, received: 11}},
      {...asked, asked: {...asked.asked, epoch: asked.asked.epoch + 1}},
      {...asked, asked: {...asked.asked, proof: newSecret()}},
      {...asked, asked: {...asked.asked, proof: ''}},
      {...asked, agentNonce: newNonce()},
      {...asked, asked: stranger.ask(asked.agentNonce, asked.relayNonce, 10)},
    ];
    for (const forged of forgeries) expect(check(forged)).toEqual({ok: false, code: 'SESSION_PROOF'});
    expect(relay.epoch).toBe(1);
    expect(check(asked).ok).toBe(true);
    resume();
  });

  test('the relay’s own proof differs from the agent’s, so it cannot be sent back', () => {
    const {ask, check, relay} = session();
    const asked = ask();
    const verdict = check(asked);
    if (!verdict.ok) return expect.unreachable();
    const next = ask();
    const reflected = {...next, asked: {...next.asked, proof: verdict.answer(next.asked.received)}};
    expect(check(reflected)).toEqual({ok: false, code: 'SESSION_PROOF'});
    expect(relay.epoch).toBe(2);
  });

  test('after a lost welcome the old and the new secret work; after the next resume only the one that follows', () => {
    const {relay, resume, ask, check, agent} = session();
    const lost = ask();
    const first = check(lost);
    expect(first.ok).toBe(true);
    // The agent did not get it and asks with the first secret.
    resume();
    // The secret of the lost welcome is worthless now.
    const facts1 = {
      id: relay.id,
      epoch: lost.asked.epoch,
      agentNonce: lost.agentNonce,
      relayNonce: lost.relayNonce,
    };
    const unused = new AgentTicket(relay.id, nextSecret(relay.firstSecret, facts1), relay.epoch);
    const late = {agentNonce: newNonce(), relayNonce: newNonce()};
    expect(check({...late, asked: unused.ask(late.agentNonce, late.relayNonce, 0)})).toEqual({
      ok: false,
      code: 'SESSION_PROOF',
    });
    // The first secret is invalid as soon as the agent has used the next one.
    resume();
    const old = new AgentTicket(relay.id, relay.firstSecret, relay.epoch);
    expect(check({...late, asked: old.ask(late.agentNonce, late.relayNonce, 0)})).toEqual({
      ok: false,
      code: 'SESSION_PROOF',
    });
    expect(agent.id).toBe(relay.id);
  });

  test('the agent accepts only a relay that knows the secret, and only an answer to its last attempt', () => {
    const {agent, relay, ask, check} = session();
    const early = ask();
    const verdict = check(early);
    if (!verdict.ok) return expect.unreachable();
    const welcome = verdict.answer(5);
    expect(agent.confirm(verdict.epoch, 6, welcome)).toBe(false);
    expect(agent.confirm(verdict.epoch + 1, 5, welcome)).toBe(false);
    expect(agent.confirm(verdict.epoch, 5, '')).toBe(false);
    expect(agent.confirm(verdict.epoch, 5, newSecret())).toBe(false);
    const late = ask();
    expect(agent.confirm(verdict.epoch, 5, welcome)).toBe(false);
    const second = check(late);
    if (!second.ok) return expect.unreachable();
    expect(agent.confirm(second.epoch, 5, second.answer(5))).toBe(true);
    expect(agent.confirm(second.epoch, 5, second.answer(5))).toBe(false);
    expect(relay.epoch).toBe(late.asked.epoch);
  });

  test('a welcome before the agent asked is not accepted', () => {
    const {agent, relay} = session();
    const facts0 = {id: relay.id, epoch: relay.epoch, agentNonce: newNonce(), relayNonce: newNonce()};
    expect(agent.confirm(relay.epoch, 0, relayProof(relay.firstSecret, facts0, 0))).toBe(false);
  });
});
