// The login of a person in a browser, with an issuer whose answers the test gives.

import {describe, expect} from 'vitest';
import {deviceLogin} from '../../../../src/lib/agent/login/device-flow.js';
import {startIssuer} from '../../../helpers/issuer.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const json = (status: number, body: object) => ({status, body: JSON.stringify(body)});

type Answer = ReturnType<typeof json> | 'broken';

/** @param polls the answers to the polls, one after the other; then the tokens */
async function setUp(scope: Scope, polls: readonly Answer[], expiresS = 60) {
  const issuer = await startIssuer(scope);
  const {url} = issuer;
  const idToken = await issuer.token({aud: 'tunl'});
  const left = [...polls];
  const stop = new AbortController();
  issuer.answer = (path) => {
    if (path === '/.well-known/openid-configuration')
      return json(200, {
        issuer: url,
        jwks_uri: `${url}/keys`,
        device_authorization_endpoint: `${url}/device`,
        token_endpoint: `${url}/token`,
        id_token_signing_alg_values_supported: ['ES256'],
      });
    if (path === '/device')
      return json(200, {
        ...{device_code: 'device', user_code: 'ABCD', verification_uri: `${url}/enter`},
        ...{expires_in: expiresS, interval: 0.01},
      });
    return (
      left.shift() ??
      json(200, {access_token: 'a', token_type: 'bearer', id_token: idToken, refresh_token: 'again'})
    );
  };
  const login = () =>
    deviceLogin(
      {issuer: url, clientId: 'tunl', scope: 'openid'},
      {ca: issuer.ca, signal: stop.signal, onCode: () => {}},
    );
  return {login, idToken, left, stop};
}

describe('a login in the browser', () => {
  test('goes on when polls find a broken connection or an issuer in trouble', async ({scope}) => {
    const pending = json(400, {error: 'authorization_pending'});
    const {login, idToken, left} = await setUp(scope, [pending, 'broken', json(503, {}), pending]);
    expect(await login()).toEqual({idToken, refreshToken: 'again'});
    expect(left).toEqual([]);
  });

  test('ends when it is refused', async ({scope}) => {
    const {login} = await setUp(scope, [json(400, {error: 'access_denied'})]);
    await expect(login()).rejects.toMatchObject({code: 'LOGIN_FAILED'});
  });

  test('ends with its time while the issuer is away', async ({scope}) => {
    const {login} = await setUp(scope, Array<Answer>(20).fill('broken'), 1);
    await expect(login()).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('expired'),
    });
  });

  test('ends when its caller gives up', async ({scope}) => {
    const {login, stop} = await setUp(scope, Array<Answer>(20).fill('broken'));
    const going = login();
    stop.abort();
    await expect(going).rejects.toMatchObject({code: 'ABORTED'});
  });
});
