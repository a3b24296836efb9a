// The page of a hub: signs in, starts sessions, and shows each change. All texts are set as text, never as HTML.

const at = (id) => document.getElementById(id);
const sessions = new Map();
/** By the id of a session: its card, which stays, so that the focus does. */
const cards = new Map();
/** By the id of a session: why and when it stops soon. */
const warnings = new Map();
const RETRY_MS = 3_000;
const MOST_RETRY_MS = 30_000;
let me;
let feed;
let retry;
let retryMs = RETRY_MS;
/** Counts sign-ins and sign-outs: an answer from before one of them is of no use. */
let era = 0;

class Problem extends Error {}

/** The answer, if it is a good one. */
async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: {
      accept: 'application/json',
      ...(body !== undefined && {'content-type': 'application/json'}),
      ...(method === 'POST' && {prefer: 'respond-async'}),
    },
    ...(body !== undefined && {body: JSON.stringify(body)}),
  });
  if (response.status === 401) signedOut();
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Problem(
      [problem.detail, problem.next].filter(Boolean).join(' ') || `The hub answered ${response.status}.`,
    );
  }
  return response;
}

async function ask(method, path, body) {
  const response = await call(method, path, body);
  return response.status === 204 ? undefined : response.json();
}

function tell(text) {
  at('problem').textContent = text;
  at('problem').hidden = text === '';
}

/** Shows what went wrong, and does not go on. */
async function attempt(action) {
  tell('');
  try {
    await action();
  } catch (error) {
    tell(error instanceof Problem ? error.message : 'The hub cannot be reached.');
  }
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function button(text, action, className) {
  const made = element('button', text, className);
  made.type = 'button';
  made.addEventListener('click', async () => {
    // A button that is disabled would lose the focus.
    if (made.getAttribute('aria-disabled') === 'true') return;
    made.setAttribute('aria-disabled', 'true');
    await attempt(action);
    made.setAttribute('aria-disabled', 'false');
  });
  return made;
}

function span(ms) {
  if (ms < 0) return 'now';
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}

const FINAL = ['stopped', 'failed'];
const SOURCES = {
  program: 'its program',
  traffic: 'traffic of its page',
  exec: 'a command inside',
  stdin: 'input',
  extend: 'it was extended',
  start: 'its start',
};

function keptBy({source, detail, at: when, isNow}, now) {
  const what = detail ?? SOURCES[source] ?? source;
  return isNow ? `${what} now` : `${what}, ${span(now - when)} ago`;
}

function facts(session) {
  const now = Date.now();
  const rows = [];
  if (!session.own) rows.push(['User', session.user]);
  if (session.queued) rows.push(['Queue', `place ${session.queued}`]);
  if (session.readyAt && !session.endedAt) rows.push(['Up', span(now - session.readyAt)]);
  if (session.keptBy) rows.push(['Kept by', keptBy(session.keptBy, now)]);
  const stops = [
    session.idleStopsAt && `in ${span(session.idleStopsAt - now)} if nobody uses it`,
    session.stopsAt && `in ${span(session.stopsAt - now)} in any case`,
  ].filter(Boolean);
  if (stops.length > 0) rows.push(['Stops', stops.join(', ')]);
  if (session.login) {
    if (session.login.user) rows.push(['User name', session.login.user]);
    rows.push(['Password', session.login.password]);
  }
  if (session.end) rows.push(['Ended', `${session.end.detail} (${span(now - session.endedAt)} ago)`]);
  return rows;
}

function cardOf(id) {
  const known = cards.get(id);
  if (known) return known;
  const root = element('article');
  const title = element('div', undefined, 'title');
  const list = element('dl');
  const actions = element('div', undefined, 'line');
  const log = element('pre');
  log.hidden = true;
  log.tabIndex = 0;
  log.setAttribute('role', 'region');
  // Takes the focus when the button that had it is gone.
  root.tabIndex = -1;
  root.append(title, list, actions, log);
  const card = {root, title, list, actions, log, kind: '', facts: ''};
  cards.set(id, card);
  return card;
}

function show(session) {
  const card = cardOf(session.id);
  const name = session.name ? `${session.template} · ${session.name}` : session.template;
  // Each part is made anew only when it changes: a selection, and the button in focus, must stay.
  const rows = facts(session);
  const said = JSON.stringify(rows);
  if (card.facts !== said) {
    card.facts = said;
    card.list.replaceChildren(...rows.flatMap(([key, value]) => [element('dt', key), element('dd', value)]));
  }
  const kind = `${session.state} ${session.url ?? ''}`;
  if (card.kind !== kind) {
    card.kind = kind;
    card.root.setAttribute('aria-label', `${name}, ${session.state}`);
    card.log.setAttribute('aria-label', `Output of ${name}`);
    card.title.replaceChildren(
      element('h3', name),
      element('span', session.state, session.state === 'failed' ? 'bad' : 'faint'),
    );
    card.actions.replaceChildren(...actionsOf(session, card));
  }
  if (session.end?.tail.length > 0 && card.log.textContent === '') {
    card.log.textContent = session.end.tail.join('\n');
    card.log.hidden = session.state !== 'failed';
  }
  return card.root;
}

function actionsOf({id, url, state, own, template, name}, card) {
  const made = [];
  if (state === 'ready' && url && own) {
    const open = element('a', 'Open', 'button');
    open.href = url;
    open.target = '_blank';
    open.rel = 'noopener noreferrer';
    made.push(open);
  }
  if (state === 'ready')
    made.push(button('Extend by 1 h', () => ask('POST', `/v1/sessions/${id}/extend`, {for: '1h'}), 'quiet'));
  if (state === 'ready')
    made.push(button('Restart', () => ask('POST', `/v1/sessions/${id}/restart`), 'quiet'));
  if (state === 'starting' || state === 'ready') made.push(button('Log', () => showLog(id, card), 'quiet'));
  if (!FINAL.includes(state) && state !== 'stopping')
    made.push(button('Stop', () => ask('DELETE', `/v1/sessions/${id}`), 'quiet'));
  if (FINAL.includes(state) && own)
    made.push(
      button('Start again', () => ask('POST', '/v1/sessions', {template, ...(name && {name})}), 'quiet'),
    );
  return made;
}

async function showLog(id, card) {
  if (!card.log.hidden) {
    card.log.hidden = true;
    return;
  }
  const response = await call('GET', `/v1/sessions/${id}/logs`);
  card.log.textContent = (await response.text()).slice(-64_000) || 'No output yet.';
  card.log.hidden = false;
  card.log.scrollTop = card.log.scrollHeight;
}

function showAll() {
  if (!me) return;
  const focused = document.activeElement;
  const held = [...cards.values()].find(({root}) => root.contains(focused));
  const isFinal = ({state}) => FINAL.includes(state);
  const all = [...sessions.values()].sort((a, b) => isFinal(a) - isFinal(b) || b.createdAt - a.createdAt);
  const list = at('sessions');
  const roots = all.map(show);
  for (const [place, root] of roots.entries())
    if (list.children[place] !== root) list.insertBefore(root, list.children[place] ?? null);
  while (list.children.length > roots.length) list.lastElementChild.remove();
  for (const id of cards.keys()) if (!sessions.has(id)) cards.delete(id);
  const running = all.filter((each) => each.own && !isFinal(each)).length;
  at('quota').textContent = `${running} of ${me.quota} sessions run.`;
  at('none').textContent = all.length === 0 ? 'There is no session yet.' : '';
  showWarnings();
  if (held && document.activeElement !== focused) focusIn(held, focused);
}

/** Gives the focus back after a card has moved or changed. */
function focusIn({root, actions}, before) {
  const same = [...actions.children].find((each) => each.textContent === before.textContent);
  const next = [before, same, root].find((each) => each?.isConnected) ?? at('main');
  next.focus({preventScroll: true});
}

/** Each text stays the same while it is shown, so that it is read aloud once. */
function showWarnings() {
  for (const [id, {when, reason}] of warnings) {
    const session = sessions.get(id);
    const end = reason === 'idle' ? session?.idleStopsAt : session?.stopsAt;
    if (session?.state !== 'ready' || end > when) warnings.delete(id);
  }
  const list = at('warnings');
  const texts = [...warnings].map(([id, {when, reason}]) => {
    const {name, template} = sessions.get(id);
    const time = new Date(when).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'});
    return `${name ?? template} stops at ${time}, because ${reason === 'idle' ? 'nobody uses it' : 'its time is over'}.`;
  });
  if (texts.join('\n') !== [...list.children].map((each) => each.textContent).join('\n'))
    list.replaceChildren(...texts.map((text) => element('p', text)));
}

/** Sessions ended, or were forgotten, while the page did not listen. */
async function dropOld(source, query) {
  const known = [...sessions.keys()];
  const now = await ask('GET', `/v1/sessions${query}`);
  if (feed !== source) return;
  const ids = new Set(now.map(({id}) => id));
  for (const id of known) if (!ids.has(id)) sessions.delete(id);
  showAll();
}

function listen() {
  feed?.close();
  const query = me.isAdmin && at('all').checked ? '?all=true' : '';
  const source = new EventSource(`/v1/events${query}`);
  feed = source;
  const take = ({data}) => {
    const {session} = JSON.parse(data);
    sessions.set(session.id, session);
    showAll();
  };
  source.addEventListener('open', () => {
    retryMs = RETRY_MS;
    at('connection').textContent = '';
    // A failure of this shows in the stream too.
    dropOld(source, query).catch(() => {});
  });
  source.addEventListener('state', take);
  source.addEventListener('warning', (event) => {
    const {session, at: when, reason} = JSON.parse(event.data);
    warnings.set(session.id, {when, reason});
    take(event);
  });
  source.addEventListener('gone', ({data}) => {
    sessions.delete(JSON.parse(data).id);
    showAll();
  });
  source.addEventListener('error', () => {
    if (feed !== source) return;
    if (source.readyState === EventSource.CLOSED) beginLater();
    else at('connection').textContent = 'The hub cannot be reached; trying again…';
  });
}

/** Forgets all that the page knows of the user. */
function signedOut() {
  era += 1;
  clearTimeout(retry);
  feed?.close();
  feed = undefined;
  me = undefined;
  sessions.clear();
  cards.clear();
  warnings.clear();
  for (const id of ['sessions', 'warnings', 'templates', 'name', 'quota', 'none', 'connection'])
    at(id).replaceChildren();
  at('start').reset();
  at('all').checked = false;
  tell('');
  at('inside').hidden = true;
  at('who').hidden = true;
  at('sign-in').hidden = false;
  at('token').focus();
}

function beginLater(why = 'The hub cannot be reached') {
  at('connection').textContent = `${why}; trying again…`;
  clearTimeout(retry);
  retry = setTimeout(begin, retryMs);
  retryMs = Math.min(retryMs * 2, MOST_RETRY_MS);
}

/** Shows the inside to a user who has signed in. It tries again as long as the hub does not answer. */
async function begin() {
  const mine = ++era;
  try {
    const response = await fetch('/v1/me');
    if (era !== mine) return;
    if (response.status === 401) return signedOut();
    if (response.status === 403) {
      // The user was removed, or the token may do nothing here: only another token helps.
      const {detail} = await response.json();
      signedOut();
      return tell(detail);
    }
    if (!response.ok) return beginLater(`The hub answered ${response.status}`);
    const user = await response.json();
    const templates = await ask('GET', '/v1/templates');
    if (era !== mine) return;
    me = user;
    showInside(templates);
    listen();
  } catch (error) {
    if (era === mine) beginLater(error instanceof Problem ? error.message.replace(/\.$/, '') : undefined);
  }
}

function showInside(templates) {
  at('name').textContent = me.user;
  at('everybody').hidden = !me.isAdmin;
  // The choice of the user stays when the page begins again.
  if (at('templates').children.length === 0) {
    const choices = templates.map(({name, title}, place) => {
      const label = element('label');
      const input = element('input');
      Object.assign(input, {type: 'radio', name: 'template', value: name, checked: place === 0});
      label.append(input, element('span', title === name ? title : `${title} (${name})`));
      return label;
    });
    at('templates').replaceChildren(...choices);
  }
  at('connection').textContent = '';
  const isNew = at('inside').hidden;
  at('sign-in').hidden = true;
  at('who').hidden = false;
  at('inside').hidden = false;
  if (isNew) at('main').focus();
  showAll();
}

const SIGN_IN_PROBLEMS = {
  denied: 'You are known at the issuer, but no rule of this hub is about you. Ask its operator.',
  failed: 'The sign-in did not succeed. Try it again.',
  busy: 'Too many sign-ins failed. Try it again in a while.',
};

/** Offers the issuer of identities, if the hub has one, and says why it has sent somebody back. */
async function showIssuer() {
  const reason = new URLSearchParams(location.search).get('sign-in');
  if (reason !== null) history.replaceState(undefined, '', '/');
  const {issuer} = await (await fetch('/sign-in')).json();
  at('issuer-host').textContent = issuer ?? '';
  at('issuer').hidden = issuer === null;
  if (Object.hasOwn(SIGN_IN_PROBLEMS, reason ?? '')) tell(SIGN_IN_PROBLEMS[reason]);
}

at('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  void attempt(async () => {
    const token = at('token').value;
    at('token').value = '';
    await ask('POST', '/sign-in', {token});
    await begin();
  });
});
at('sign-out').addEventListener(
  'click',
  () =>
    void attempt(async () => {
      await ask('POST', '/sign-out');
      signedOut();
    }),
);
at('start').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = at('session-name').value.trim();
  const template = new FormData(at('start')).get('template');
  void attempt(async () => {
    const mine = era;
    const session = await ask('POST', '/v1/sessions', {template, ...(name !== '' && {name})});
    if (era !== mine) return;
    // An event may have told more of it already.
    if (!sessions.has(session.id)) sessions.set(session.id, session);
    at('session-name').value = '';
    showAll();
  });
});
at('all').addEventListener('change', listen);
// Times pass without any event.
setInterval(() => document.hidden || showAll(), 5_000);
void begin()
  .then(showIssuer)
  .catch(() => {});
