// A gRPC service whose only call sends the request back. Plain (h2c) and with TLS.
//
//   node grpc.js CERT KEY   prints the plain port, and then the port for TLS
import {Server, ServerCredentials} from '@grpc/grpc-js';
import {echoMethod} from './grpc-method.js';
import {certificate} from './listen.js';

const server = new Server();
server.addService({echo: echoMethod}, {echo: (call, done) => done(null, call.request)});
const {cert, key} = certificate();
const ways = [
  ServerCredentials.createInsecure(),
  ServerCredentials.createSsl(null, [{cert_chain: cert, private_key: key}]),
];
for (const credentials of ways) {
  const port = await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  console.log(port);
}
process.once('SIGTERM', () => process.exit(0));
