import {expect} from 'vitest';
import {source, startScript} from '../../helpers/source-script.js';
import {test} from '../../helpers/test.js';

test('a secret is the first line of stdin', async ({scope}) => {
  const script = `
    import {tokenFrom} from ${source('lib/cli/ask-secret')};
    console.log(await tokenFrom('-'));`;
  for (const input of ['first\nsecond\n', 'first']) {
    const child = startScript(scope, script, {stdin: true});
    child.stdin.end(input);
    expect(await child.finished()).toMatchObject({code: 0, stdout: 'first\n'});
  }
});

test('an aborted signal ends the wait for a secret that never comes', async ({scope}) => {
  const child = startScript(
    scope,
    `
    import {tokenFrom} from ${source('lib/cli/ask-secret')};
    const stop = new AbortController();
    const waiting = tokenFrom('-', stop.signal).catch(({code}) => console.log(code));
    setImmediate(() => stop.abort());
    await waiting;`,
    {stdin: true},
  );
  expect(await child.finished()).toMatchObject({code: 0, stdout: 'ABORTED\n'});
});
