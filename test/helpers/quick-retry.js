// `node --import …/quick-retry.js`: full jitter draws from the low end only. Hundreds of cuts in a row would otherwise
// spend their time in waits of up to 20 s each, which other tests are about.
const random = Math.random;
Math.random = () => random() / 200;
