// The call of the gRPC service: bytes without a schema.
const same = (value) => value;

export const echoMethod = {
  path: '/bench.Echo/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};
