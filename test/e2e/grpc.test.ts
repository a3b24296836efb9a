// gRPC through a tunnel that offers h2: unary calls, two-way streams, trailers and errors, with the standard implementation.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type StatusObject,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import {expect} from 'vitest';
import {gate, wayIn} from '../helpers/behind-gate.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const method = (name: string, streaming: boolean): MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Echo/${name}`,
  requestStream: streaming,
  responseStream: streaming,
  requestSerialize: (value) => value,
  requestDeserialize: (value) => value,
  responseSerialize: (value) => value,
  responseDeserialize: (value) => value,
});
const unary = method('Unary', false);
const chat = method('Chat', true);

async function grpcUpstream(scope: Scope): Promise<number> {
  const server = new Server({'grpc.max_receive_message_length': -1});
  server.addService(
    {unary, chat},
    {
      unary(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
        const trailers = new Metadata();
        trailers.set('x-trailer', `got ${call.request.length}`);
        if (call.request.toString() === 'fail') {
          done({code: status.FAILED_PRECONDITION, details: 'as asked', metadata: trailers});
        } else done(null, call.request, trailers);
      },
      chat(call: ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', (message: Buffer) => call.write(message));
        call.on('end', () => {
          const trailers = new Metadata();
          trailers.set('x-trailer', 'the end');
          call.end(trailers);
        });
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  scope.onEnd(() => server.forceShutdown());
  return port;
}

const PASSWORD = 'correct horse battery';

test.for([
  [[], undefined],
  [['--private'], 'Bearer'],
  [['--basic-auth', 'guest', '--forwarded'], 'Basic'],
] as const)('unary calls, both-way streams, trailers and errors %j', async ([flags, scheme], {scope}) => {
  const relay = await startRelayProcess(scope);
  const {ready} = await relay.expose(await grpcUpstream(scope), {
    flags: ['--h2', ...flags],
    env: {TUNL_BASIC_AUTH_PASSWORD: PASSWORD},
  });
  const secret = {
    Bearer: ready.link?.split('tunl=')[1],
    Basic: Buffer.from(`guest:${PASSWORD}`).toString('base64'),
  };
  const metadata = new Metadata();
  if (scheme !== undefined) metadata.set('authorization', `${scheme} ${secret[scheme]}`);
  const way = await wayIn(scope, relay.caFile, ready.url);
  for (const [name, value] of Object.entries(way)) metadata.set(name, value);
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const visitor = new Client(`127.0.0.1:${port}`, credentials.createSsl(readFileSync(relay.caFile)), {
    'grpc.ssl_target_name_override': host,
    'grpc.default_authority': `${host}:${port}`,
    'grpc.max_receive_message_length': -1,
  });
  scope.onEnd(() => visitor.close());

  const call = (request: Buffer, sent = metadata) => {
    let trailers: StatusObject | undefined;
    return new Promise<{reply?: Buffer; code?: number; trailer: unknown}>((resolve) => {
      let outcome: {reply?: Buffer; code?: number} = {};
      const running = visitor.makeUnaryRequest(
        unary.path,
        unary.requestSerialize,
        unary.responseDeserialize,
        request,
        sent,
        (error, reply) => {
          outcome = error ? {code: error.code} : {...(reply && {reply})};
        },
      );
      running.on('status', (received: StatusObject) => {
        trailers = received;
        setImmediate(() => resolve({...outcome, trailer: trailers?.metadata.get('x-trailer')[0]}));
      });
    });
  };
  expect(await call(Buffer.from('hello'))).toEqual({reply: Buffer.from('hello'), trailer: 'got 5'});
  expect(await call(Buffer.from('fail'))).toEqual({code: status.FAILED_PRECONDITION, trailer: 'got 4'});
  const large = Buffer.alloc(3_000_000, 'x');
  expect((await call(large)).reply?.equals(large)).toBe(true);

  if (scheme !== undefined || gate !== undefined)
    expect(await call(large, new Metadata())).toMatchObject({code: status.UNAUTHENTICATED});

  const {requestSerialize, responseDeserialize} = chat;
  const stream = visitor.makeBidiStreamRequest(chat.path, requestSerialize, responseDeserialize, metadata);
  const ended = once(stream, 'status') as Promise<[StatusObject]>;
  for (let i = 0; i < 100; i++) {
    // One at a time: each answer must come while both directions are open.
    stream.write(Buffer.from(`message ${i}`));
    const [echoed] = (await once(stream, 'data')) as [Buffer];
    expect(echoed.toString()).toBe(`message ${i}`);
  }
  stream.end();
  stream.resume();
  const [received] = await ended;
  expect(received.code).toBe(status.OK);
  expect(received.metadata.get('x-trailer')).toEqual(['the end']);
});
