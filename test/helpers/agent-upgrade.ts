// An agent's upgrade with a token, and nothing after it.
import {readFileSync} from 'node:fs';
import {get} from 'node:https';
import type {RunningRelay} from '../../src/lib/relay/running-relay.js';

export interface UpgradeAnswer {
  /** 101: the relay takes the token. */
  status: number;
  /** The code of a refusal. */
  code: string | undefined;
}

export async function upgradeWith(
  {address, caFile = '', domain}: Pick<RunningRelay, 'address' | 'caFile' | 'domain'>,
  token: string,
): Promise<UpgradeAnswer> {
  return await new Promise((resolve, reject) => {
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      Host: domain,
      Authorization: `Bearer ${token}`,
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Protocol': 'tunl.v1',
      'Sec-WebSocket-Key': `${'A'.repeat(22)}==`,
    };
    const ca = readFileSync(caFile);
    const request = get({...address, ca, servername: domain, path: '/agent', headers, agent: false});
    request.on('upgrade', ({statusCode = 0}, socket) => {
      socket.destroy();
      resolve({status: statusCode, code: undefined});
    });
    request.on('response', (response) => {
      let text = '';
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => {
        const {error} = JSON.parse(text) as {error: {code: string}};
        resolve({status: response.statusCode ?? 0, code: error.code});
      });
    });
    request.on('error', reject);
  });
}
