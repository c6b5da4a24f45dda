// The page for operators: asks the gateway every two seconds while it is looked at, one request at a time, and draws what it says.
//
// It only reads. The token, if one is given, is kept in a variable and nowhere else.

import {h, patch} from './dom.js';
import {faultsOf, SEVERITY} from './faults.js';
import {duration} from './format.js';
import {access, config} from './guarded.js';
import {metrics, runbook} from './lists.js';
import {parse, Readings} from './metrics.js';
import {History, mark} from './pieces.js';
import {sectionsOf} from './runbook.js';
import {clients, clusters, memory, streams, tls} from './sections.js';
import {faultList, numbersOf, numberTiles, processLine, stateLine, worstOf} from './state.js';

const state = {
    overview: undefined,
    readings: new Readings(),
    history: new History(),
    /** What needs the token: `undefined` until there is an answer. */
    config: undefined,
    principals: undefined,
    configRevision: undefined,
    token: undefined,
    tokenTrouble: undefined,
    runbook: undefined,
    faults: [],
    /** Since when and why there is no answer. */
    failure: undefined,
    updated: undefined,
    isPaused: false,
    /** The lists that are shown whole, and the sections of the runbook that are open. */
    open: new Set(),
    sectionsShown: new Set(),
    settingFilter: '',
    allSettings: false,
    metricFilter: '',
    metricsShown: false,
    draw, setToken, openRunbook,
};

const SECTIONS = [
    ['wrong', 'State'], ['streams', 'Streams'], ['clusters', 'Clusters'], ['clients', 'Clients'], ['memory', 'Memory'], ['tls', 'TLS'],
    ['access', 'Access'], ['config', 'Configuration'], ['metrics', 'Metrics'], ['runbook', 'Runbook'],
];

/** The sections in which faults of these places are looked into. */
const PLACES = {
    cluster: 'clusters', broker: 'clusters', topic: 'clusters', partition: 'clusters', stream: 'streams', tls: 'tls', access: 'access',
    config: 'config', limits: 'clients',
};

/** The pause between two rounds of requests, and the longest wait for an answer, in milliseconds. */
const PAUSE = 2_000;
const PATIENCE = 10_000;

/** How many times as long as a round takes the pause behind it is at least. */
const SHARE = 4;

/** Asks for a document. Fails with a sentence. */
async function ask(path, needsToken = false) {
    const headers = needsToken && state.token ? {authorization: `Bearer ${state.token}`} : {};
    let response;
    try {
        response = await fetch(path, {headers, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(PATIENCE)});
    } catch (error) {
        throw new Error(error.name === 'TimeoutError' ? `no answer within ${PATIENCE / 1000} s` : 'no connection');
    }
    if (!response.ok) {
        const said = await response.json().catch(() => ({}));
        const trouble = new Error(`${path} was answered with ${response.status}: ${said.detail ?? response.statusText}`);
        trouble.status = response.status;
        throw trouble;
    }
    return response;
}

/** Asks for everything that is shown, one document after the other. */
async function round() {
    try {
        const overview = await (await ask('admin/overview')).json();
        const text = await (await ask('metrics')).text();
        take(overview, parse(text));
        state.failure = undefined;
        state.runbook ??= sectionsOf(await (await ask('operator/runbook.md')).text());
        if (!overview.token_required || state.token) {
            await askGuarded(overview);
        }
    } catch (error) {
        state.failure = {since: state.failure?.since ?? Date.now(), why: error.message};
    }
}

/** Keeps the answers, and forgets the past of a process that is gone. */
function take(overview, metrics) {
    const uptime = (reading) => reading?.samples.get('riverhead_uptime_seconds')?.[0]?.value ?? 0;
    if (uptime(metrics) < uptime(state.readings.latest)) {
        state.readings.clear();
        state.configRevision = undefined;
    }
    state.overview = overview;
    state.readings.add(metrics, performance.now());
    state.updated = Date.now();
    numbersOf(state).forEach(({id, of}) => state.history.add(id, of));
}

async function askGuarded(overview) {
    try {
        if (overview.authentication) {
            state.principals = await (await ask('admin/principals', true)).json();
        }
        if (state.configRevision !== overview.config_revision) {
            state.config = await (await ask('admin/config', true)).json();
            state.configRevision = overview.config_revision;
        }
        state.tokenTrouble = undefined;
    } catch (error) {
        if (error.status !== 401 && error.status !== 429) {
            throw error;
        }
        const isWrong = error.status === 401;
        state.tokenTrouble = isWrong ? 'This is not the token.' : 'There were too many wrong tokens. Try again in a minute.';
        forgetToken();
    }
}

function forgetToken() {
    state.token = undefined;
    state.config = undefined;
    state.configRevision = undefined;
    state.principals = undefined;
}

function setToken(token) {
    state.token = token || undefined;
    state.tokenTrouble = undefined;
    draw();
    hurry();
}

function openRunbook(name) {
    state.sectionsShown.add(name);
    draw();
    const section = document.getElementById(`runbook-${name}`);
    if (section) {
        section.open = true;
        section.scrollIntoView({block: 'start'});
        section.querySelector('summary').focus({preventScroll: true});
    }
}

function draw() {
    state.faults = faultsOf(state);
    const into = (id, drawn) => patch(document.querySelector(`#${id}`), drawn);
    const part = (name, drawn) => patch(document.querySelector(`[data-part="${name}"]`), drawn);
    const worst = (state.failure || state.overview) && worstOf(state);
    into('state', stateLine(state));
    // Only what is wrong is spoken, and not each second for how long.
    into('announced', worst && `${worst}${state.faults[0] && worst !== 'ok' ? `: ${state.faults[0].subject}` : ''}`);
    into('faults', faultList(state));
    into('sections', navigation());
    into('updated', updated());
    document.body.classList.toggle('stale', Boolean(state.failure && state.overview));
    document.title = worst && worst !== 'ok' ? `${worst} · riverhead: operator` : 'riverhead: operator';
    part('runbook', runbook(state));
    if (!state.overview) {
        return;
    }
    into('process', processLine(state));
    into('numbers', numberTiles(numbersOf(state), state.history));
    part('streams', streams(state));
    part('clusters', clusters(state));
    part('clients', clients(state));
    part('memory', memory(state));
    part('tls', tls(state));
    part('principals', access(state));
    part('config', config(state));
    part('metrics', metrics(state));
}

function navigation() {
    const worst = new Map();
    for (const {place, severity} of state.faults.filter((fault) => fault.severity !== 'note')) {
        const section = PLACES[place];
        if (section && SEVERITY[severity] > SEVERITY[worst.get(section) ?? 'ok']) {
            worst.set(section, severity);
        }
    }
    return h('ul', {}, SECTIONS.map(([id, title]) => h('li', {key: id},
        h('a', {href: `#${id}`}, worst.has(id) && mark(worst.get(id)), title))));
}

function updated() {
    const flip = () => {
        state.isPaused = !state.isPaused;
        draw();
        hurry();
    };
    const age = state.updated && (Date.now() - state.updated) / 1000;
    const text = state.isPaused ? 'paused' : age === undefined ? '' : age > 5 ? `updated ${duration(age)} ago` : 'live';
    return [
        h('span', {class: state.isPaused || age > 5 ? 'old' : 'live'}, text),
        state.token && h('button', {key: 'forget', type: 'button', on: {click: () => (forgetToken(), draw())}}, 'Forget token'),
        h('button', {key: 'pause', type: 'button', 'data-part': 'pause', 'aria-pressed': String(state.isPaused), on: {click: flip}},
            state.isPaused ? 'Resume' : 'Pause'),
    ];
}

let wake = () => {};

/** Begins the next round at once. */
function hurry() {
    wake();
}

async function run() {
    for (;;) {
        const begun = performance.now();
        if (!document.hidden && !state.isPaused) {
            await round();
            draw();
        }
        // A gateway with thousands of partitions, or one that is slow, is asked less often.
        const pause = Math.max(PAUSE, (performance.now() - begun) * SHARE);
        await new Promise((resolve) => {
            const timer = setTimeout(resolve, pause);
            wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }
}

document.addEventListener('visibilitychange', hurry);
draw();
run();
