import {describe, expect, test} from 'vitest';
import {earlyFlags, withoutSecrets} from '../../../src/lib/cli/words.js';

describe('earlyFlags', () => {
  test.each([
    [[], {json: false, quiet: false, debug: false}],
    [['expose', '8000', '--json', '-q'], {json: true, quiet: true, debug: false}],
    [['expose', '--', '--json', '-q'], {json: false, quiet: false, debug: false}],
    [['expose', '--log-level', 'debug'], {json: false, quiet: false, debug: true}],
    [['expose', '--log-level=trace'], {json: false, quiet: false, debug: true}],
    [['expose', '--log-level'], {json: false, quiet: false, debug: false}],
  ])('%j', (words, wish) => {
    expect(earlyFlags(words)).toEqual(wish);
  });
});

describe('withoutSecrets', () => {
  test.each([
    ['tunl_agent_7f', ['expose', 'tunl_agent_7f']],
    ['s3cr3t-s3cr3t-s3cr3t', ['expose', 's3cr3t-s3cr3t-s3cr3t']],
    ['s3cr3t-s3cr3t-s3cr3t', ['expose', '--token=s3cr3t-s3cr3t-s3cr3t']],
  ])('leaves out %s', (secret, words) => {
    expect(withoutSecrets(`The port "${secret}" is wrong.`, words, undefined)).toBe('The port "…" is wrong.');
  });

  test('leaves out the token of the environment', () => {
    expect(withoutSecrets('bad header: Bearer short', [], 'short')).toBe('bad header: Bearer …');
  });

  test.each([
    'https://relay.example.net:8443',
    'r1.example.net:20417',
    '/home/dev/certificates/relay.pem',
    '--max-retry-time',
    'demo',
  ])('keeps %s', (word) => {
    expect(withoutSecrets(`about ${word} here`, ['expose', word], undefined)).toBe(`about ${word} here`);
  });
});
