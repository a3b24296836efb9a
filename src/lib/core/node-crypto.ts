// `node:crypto` without the cost of an `import`: the module's namespace reads every export, and one of them loads Web
// Crypto (2 MB and a millisecond at each start). Types are imported from 'node:crypto' as usual.

export const {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  randomFillSync,
  randomInt,
  randomUUID,
  scrypt,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} = process.getBuiltinModule('node:crypto');
