// A script for pages of tests: what is live in a browser goes through a WebSocket and server-sent events.

/** `say(text)` resolves with the answer over `window.socket`; `listen()` puts the data of `/events` into `received`. */
export const LIVE_SCRIPT = `
  window.say = (text) => new Promise((resolve) => {
    window.socket.onmessage = (event) => resolve(event.data);
    window.socket.send(text);
  });
  window.received = [];
  window.listen = () => new Promise((resolve) => {
    const events = new EventSource('/events');
    events.onopen = () => resolve();
    events.onmessage = (event) => window.received.push(event.data);
  });
`;
