// `node --import …/quick-retry.js`: full jitter draws only short waits. Otherwise tests with hundreds of cuts would
// spend their time in waits of up to 20 s each, which other tests check.
const random = Math.random;
Math.random = () => random() / 200;
