// Makes unary gRPC calls of 64 bytes over one connection with TLS, so many at the same time.
//
//   node grpc.js HOST ADDRESS PORT CALLS SECONDS
import {Client, credentials} from '@grpc/grpc-js';
import {echoMethod} from '../../services/grpc-method.js';
import {measure} from './answers.js';

const [host, address, port, count, seconds] = process.argv.slice(2);
const unchecked = credentials.createSsl(null, null, null, {rejectUnauthorized: false});
const client = new Client(`${address}:${port}`, unchecked, {
  'grpc.ssl_target_name_override': host,
  'grpc.default_authority': `${host}:${port}`,
});
const request = Buffer.alloc(64, 'm');
const {path, requestSerialize, responseDeserialize} = echoMethod;
const call = () =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error) =>
      error ? reject(error) : resolve(),
    );
  });
// The connection is there before the time begins.
await call();
await measure({count: Number(count), seconds: Number(seconds)}, call);
